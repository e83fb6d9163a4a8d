// "next start", in several processes, as a process manager would run it.

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { configuration } from "peers-common";
import { serve } from "peers-common/cluster";

const settings = configuration();

// milliseconds, as Fastify has it
const KEEPALIVE = "72000";

serve({
    name: "Next.js",
    exec: createRequire(import.meta.url).resolve("next/dist/bin/next"),
    args: ["start", fileURLToPath(new URL(".", import.meta.url)),
        "--hostname", settings.host, "--port", String(settings.port),
        "--keepAliveTimeout", KEEPALIVE],
});
