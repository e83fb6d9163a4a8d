// Next calls this when a process starts, so that no request waits for what
// every request needs.

export async function register() {
    if (process.env.NEXT_RUNTIME === "nodejs") {
        const { services } = await import("./lib/services.js");

        await services();
    }
}
