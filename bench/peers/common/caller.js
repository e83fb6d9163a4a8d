// Who is calling, by the claims of a token whose signature, issuer, audience
// and times a library has verified; and what is said of one that is refused.

import { Problem } from "./problem.js";

// of names, of roles, and how many of those
const NAME = 256;
const ROLE = 128;
const ROLES = 64;

const BEARER = 'Bearer realm="provisioning"';

const CONTROLS = /[\x00-\x1f\x7f]/;

export function caller(api, operation, settings, claims) {
    const found = {
        subject: name("sub", claims.sub),
        issuer: settings.issuer,
        roles: roles(settings.rolesClaim,
            claim(claims, settings.rolesClaim) ?? []),
    };

    const partner = claim(claims, settings.partnerClaim);

    if (partner !== undefined) {
        found.partner = name(settings.partnerClaim, partner);
    }

    if (!api.permits(found.roles, operation.permission)) {
        throw new Problem(403, "permission_denied", "The operation requires "
            + `the permission "${operation.permission}", which none of the `
            + "caller's roles grants.", {
            headers: {
                "WWW-Authenticate": `${BEARER}, error="insufficient_scope", `
                    + `scope="${operation.permission}"`,
            },
        });
    }

    if (found.partner === undefined) {
        throw new Problem(403, "partner_missing", "The token names no partner, "
            + "so there is nobody to act for.");
    }

    return found;
}

// A claim's name may be a path; one that has dots itself comes first.

function claim(claims, path) {
    return Object.hasOwn(claims, path) ? claims[path] : path.split(".").reduce(
        (value, step) => (value !== null && typeof value === "object"
            && Object.hasOwn(value, step) ? value[step] : undefined), claims);
}

function name(label, value) {
    if (value === undefined) {
        throw refusal("token_claim_missing",
            `The token's claim "${label}" is missing.`);
    }

    if (typeof value !== "string" || value === "" || value.length > NAME
        || CONTROLS.test(value))
    {
        throw refusal("token_claim_invalid", `The token's claim "${label}" `
            + `must be a string of 1 to ${NAME} printable characters.`);
    }

    return value;
}

function roles(label, value) {
    const list = typeof value === "string"
        ? value.split(" ").filter((role) => role !== "") : value;

    if (!Array.isArray(list) || list.length > ROLES || list.some((role) =>
        typeof role !== "string" || role === "" || role.length > ROLE
        || CONTROLS.test(role)))
    {
        throw refusal("token_claim_invalid", `The token's claim "${label}" `
            + "must be an array of strings or one string of words, at most "
            + `${ROLES} of 1 to ${ROLE} characters each.`);
    }

    return list;
}

const REFUSALS = {
    token_bad_signature: "The token's signature is not valid.",
    token_expired: "The token has expired.",
    token_malformed: "The token is not a compact JWT.",
    token_not_yet_valid: "The token is not valid yet.",
    token_unknown_issuer: "The token's issuer is not accepted here.",
    token_unsupported_algorithm: "The token is signed with an algorithm that "
        + "is not accepted here.",
    token_wrong_audience: "The token is meant for another audience.",
};

// 401 with a challenge (RFC 6750, section 3.1), one without an error where
// nothing was shown.

export function refusal(code, detail = REFUSALS[code]) {
    return new Problem(401, code, detail, {
        headers: {
            "WWW-Authenticate": code === "token_missing" ? BEARER
                : `${BEARER}, error="invalid_token", `
                    + `error_description="${code}"`,
        },
    });
}

// The token of "Authorization: Bearer …".

export function bearer(header) {
    if (header === undefined || header === null) {
        throw refusal("token_missing", "Send a token in the header "
            + '"Authorization: Bearer <token>".');
    }

    const [, token] = header.match(/^bearer +(\S+)$/i) ?? [];

    if (token === undefined) {
        throw refusal("token_missing", "The Authorization header must have "
            + 'the form "Bearer <token>".');
    }

    return token;
}
