import { fileURLToPath } from "node:url";

export default {
    compress: false,
    poweredByHeader: false,
    generateEtags: false,
    outputFileTracingRoot: fileURLToPath(new URL("..", import.meta.url)),
    serverExternalPackages: ["ajv", "ajv-formats", "pg", "pino"],
    transpilePackages: ["peers-common"],
};
