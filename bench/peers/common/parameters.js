// Path, query and headers, as the document describes them: what Ajv compiles
// for them, how a query string is brought into their shape, and the one object
// that the database's functions take.

// A schema for each place, for Ajv with coerceTypes.

export function parameterSchemas(operation) {
    const place = (where, name) => {
        const found = operation.parameters.filter((p) => p.in === where);

        return {
            type: "object",
            required: found.filter((p) => p.required).map((p) => name(p)),
            properties: Object.fromEntries(
                found.map((p) => [name(p), p.schema])),
        };
    };

    return {
        params: place("path", (p) => p.name),
        querystring: {
            ...place("query", (p) => p.name), additionalProperties: false,
        },
        headers: place("header", (p) => p.name.toLowerCase()),
    };
}

// From what a parser of query strings has made, { name: text or texts }.

export function shape(operation, query) {
    const shaped = {};

    for (const [name, value] of Object.entries(query)) {
        const [, outer, key] = name.match(/^([^[]+)\[(.+)\]$/s) ?? [];
        const parameter = operation.parameters.find((p) => p.in === "query"
            && (p.deep ? p.name === outer : p.name === name));

        if (parameter?.deep) {
            (shaped[outer] ??= {})[key] = value;

        } else if (parameter?.commas && typeof value === "string") {
            shaped[name] = value.split(",");

        } else if (parameter?.list) {
            shaped[name] = [value].flat();

        } else {
            shaped[name] = value;
        }
    }

    return shaped;
}

// What passes has been validated.

export function parameters(operation, path, query, headers) {
    const all = { ...path, ...query };

    for (const parameter of operation.parameters) {
        const value = parameter.in === "header"
            ? headers[parameter.name.toLowerCase()] : undefined;

        if (value !== undefined) {
            all[parameter.name] = value;
        }
    }

    return all;
}
