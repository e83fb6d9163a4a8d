// One line for each request, written when 4 KiB of them have come together,
// or a second has gone by: to a file, or to a descriptor (1 is stdout).

import pino from "pino";

export function accessLog(destination) {
    return pino({ base: { pid: process.pid } }, pino.destination({
        dest: destination, sync: false, minLength: 4096, periodicFlush: 1000,
    }));
}
