// Ajv over the gateway's documents, and its errors in the gateway's form:
// where (a JSON pointer), which keyword, and a sentence.

import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

// at most as many as the gateway tells
const MOST = 32;

export function ajv(api, options) {
    const made = new Ajv2020({ allErrors: true, strict: false, ...options });

    addFormats(made);
    made.addFormat("uuid", UUID);

    for (const [name, document] of Object.entries(api.files)) {
        made.addSchema(document, name);
    }

    return made;
}

export function violations(errors) {
    const told = [];
    const lengths = new Set(errors.filter(({ keyword }) =>
        keyword === "minLength" || keyword === "maxLength").map(
        ({ instancePath }) => instancePath));

    for (const error of errors) {
        const { keyword, params } = error;

        // what only sums up others, or is told by one that does, and the
        // pattern of what is too long to be looked at

        if (keyword === "if"
            || (error.propertyName !== undefined
                && keyword !== "propertyNames")
            || (keyword === "pattern" && lengths.has(error.instancePath)))
        {
            continue;
        }

        const member = params.missingProperty ?? params.additionalProperty
            ?? params.propertyName;

        told.push({
            pointer: error.instancePath + (member === undefined
                ? "" : `/${escape(member)}`),
            code: keyword.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`),
            message: sentence(keyword, params, error.message),
        });
    }

    return told.slice(0, MOST);
}

// RFC 6901, section 3

function escape(name) {
    return name.replaceAll("~", "~0").replaceAll("/", "~1");
}

function sentence(keyword, params, message) {
    switch (keyword) {
    case "required":
        return "is required";
    case "additionalProperties":
        return "is not a known property";
    case "minLength":
    case "maxLength":
        return `must be at ${keyword === "minLength" ? "least" : "most"} `
            + `${params.limit} character${params.limit === 1 ? "" : "s"} long`;
    case "minimum":
    case "maximum":
        return `must be at ${keyword === "minimum" ? "least" : "most"} `
            + params.limit;
    case "enum":
        return `must be one of ${params.allowedValues.map(
            (value) => JSON.stringify(value)).join(", ")}`;
    default:
        return message;
    }
}
