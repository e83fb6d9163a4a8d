// A real issuer for t/auth_oidc.t: oidc-provider with one client, whose
// tokens say what the gateway wants to know.  ISSUER is its URL, KEYS a file
// with its private keys, which it reads again at SIGHUP; ALG is what it signs
// with.

import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';

import Provider from 'oidc-provider';

const { ISSUER, KEYS, ALG } = process.env;

function made() {
    const provider = new Provider(ISSUER, {
        jwks: JSON.parse(readFileSync(KEYS, 'utf8')),
        clients: [{
            client_id: 'partner-system',
            client_secret: 'a-secret-of-some-length',
            grant_types: ['client_credentials'],
            response_types: [],
            redirect_uris: [],
            id_token_signed_response_alg: ALG,
        }],
        clientDefaults: { id_token_signed_response_alg: ALG },
        enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256',
            'EdDSA'] },
        features: {
            clientCredentials: { enabled: true },
            devInteractions: { enabled: false },
            resourceIndicators: {
                enabled: true,
                defaultResource: () => 'urn:provisioning',
                getResourceServerInfo: () => ({
                    audience: 'provisioning',
                    scope: '',
                    accessTokenFormat: 'jwt',
                    accessTokenTTL: 3600,
                    jwt: { sign: { alg: ALG } },
                }),
            },
        },
        extraTokenClaims: () => ({
            partner: 'acme', roles: ['partner-admin'],
        }),
    });

    return provider.callback();
}

let callback = made();

process.on('SIGHUP', () => { callback = made(); });

createServer((request, response) => callback(request, response))
    .listen(Number(new URL(ISSUER).port), '127.0.0.1');
