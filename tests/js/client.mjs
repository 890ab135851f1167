// SPDX-License-Identifier: Apache-2.0
// A client of AWS's SDK for JavaScript v3, as the programs here use it.
import assert from "node:assert/strict";

// sdk: the package; Client: its client's class. send(operation, input); raises(exception, promise): what was raised.
export function connect(sdk, Client) {
    const client = new Client({
        endpoint: process.env.KINEMA_API,
        region: "us-east-1",
        maxAttempts: 1,
        credentials: {
            accessKeyId: process.env.AWS_ACCESS_KEY_ID,
            secretAccessKey: process.env.AWS_SECRET_ACCESS_KEY,
        },
    });
    const send = (name, input) => client.send(new sdk[`${name}Command`](input));
    async function raises(Type, promise) {
        const error = await promise.then(() => assert.fail(`no ${Type}`), (e) => e);
        assert.equal(error.name, Type);
        assert.ok(error instanceof sdk[Type], `${Type} is an exception class of the SDK`);
        assert.ok(error.message.length > 0);
        return error;
    }
    return { client, send, raises };
}
