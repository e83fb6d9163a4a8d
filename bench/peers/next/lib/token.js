// The claims of a token, by jose.

import { jwtVerify } from "jose";
import { refusal } from "peers-common";

const REFUSALS = {
    ERR_JOSE_ALG_NOT_ALLOWED: "token_unsupported_algorithm",
    ERR_JOSE_NOT_SUPPORTED: "token_unsupported_algorithm",
    ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "token_bad_signature",
    ERR_JWT_EXPIRED: "token_expired",
};

const CLAIMS = {
    iss: "token_unknown_issuer",
    aud: "token_wrong_audience",
    nbf: "token_not_yet_valid",
};

export async function verify({ key, settings }, token) {
    try {
        return (await jwtVerify(token, key, {
            algorithms: ["RS256"],
            issuer: settings.issuer,
            audience: settings.audience,
            requiredClaims: ["exp", "sub"],
        })).payload;
    } catch (error) {
        if (error.reason === "missing") {
            throw refusal("token_claim_missing",
                `The token's claim "${error.claim}" is missing.`);
        }

        throw refusal(REFUSALS[error.code] ?? CLAIMS[error.claim]
            ?? "token_malformed");
    }
}
