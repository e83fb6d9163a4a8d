// Two small things of HTTP.

import { v7 as uuidv7 } from "uuid";

// A caller's X-Request-Id is taken over when it can do no harm in a log.

export function requestId(sent) {
    return /^[\w.:+/=-]{1,64}$/.test(sent ?? "") ? sent : uuidv7();
}

// If-None-Match of a GET: the weak comparison of RFC 9110, section 8.8.3.2.

export function notModified(sent, etag) {
    return sent !== undefined && etag !== undefined
        && (sent.trim() === "*" || sent.split(",").some(
            (one) => one.trim().replace(/^W\//, "") === etag));
}
