// Runs a program in so many processes that share a port, for as long as this
// one runs.  Says when all of them listen; starts another one for one that
// dies later on; ends them, and then itself, at SIGTERM and SIGINT.

import cluster from "node:cluster";

const PROCESSES = 2;

// milliseconds that a process has for what it has begun
const PATIENCE = 5000;

export function serve({ name, exec, args = [] }) {
    let ready = false;
    let ending = false;

    const workers = () => Object.values(cluster.workers);

    cluster.setupPrimary({ exec, args });

    cluster.on("listening", (worker, { address, port }) => {
        worker.listens = true;

        if (!ready && workers().every((one) => one.listens)) {
            ready = true;
            console.log(`${name} is ready at http://${address}:${port}`);
        }
    });

    cluster.on("exit", (worker, code, signal) => {
        if (ending) {
            return;
        }

        console.error(`process ${worker.process.pid} of ${name} has ended: `
            + (signal ?? `exit code ${code}`));

        if (worker.listens) {
            cluster.fork();
        } else {
            process.exitCode = 1;
            end();
        }
    });

    function end() {
        if (ending) {
            return;
        }

        ending = true;
        signal("SIGTERM");
        setTimeout(signal, PATIENCE, "SIGKILL").unref();
    }

    function signal(what) {
        for (const worker of workers()) {
            worker.process.kill(what);
        }
    }

    process.on("SIGTERM", end);
    process.on("SIGINT", end);

    for (let i = 0; i < PROCESSES; i++) {
        cluster.fork();
    }
}
