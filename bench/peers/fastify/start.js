import { fileURLToPath } from "node:url";
import { serve } from "peers-common/cluster";

serve({
    name: "Fastify",
    exec: fileURLToPath(new URL("server.js", import.meta.url)),
});
