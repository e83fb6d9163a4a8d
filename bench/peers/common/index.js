// What both services do alike.  Where a framework has a way of its own (how a
// body is read and validated, where a token is verified) it goes that way.

export { accessLog } from "./log.js";
export { Api } from "./openapi.js";
export { bearer, caller, refusal } from "./caller.js";
export { configuration } from "./configuration.js";
export { Database } from "./database.js";
export { Problem } from "./problem.js";
export { notModified, requestId } from "./request.js";
export { parameterSchemas, parameters, shape } from "./parameters.js";
export { ajv, violations } from "./validation.js";
