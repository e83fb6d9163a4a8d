// One process of the service: listens, and ends at SIGTERM with what it has
// begun.

import { configuration } from "peers-common";

import { service } from "./service.js";

const settings = configuration();
const app = service(settings);

for (const signal of ["SIGTERM", "SIGINT"]) {
    process.once(signal, async () => {
        await app.close();
        process.exit(0);
    });
}

await app.listen({ host: settings.host, port: settings.port });
