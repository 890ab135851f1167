// SPDX-License-Identifier: Apache-2.0
// The control plane as the AWS SDK for JavaScript v3 speaks it; run by test_13_js_sdk.py.
// Every answer passes the SDK's own deserialisers: a timestamp in a wrong form throws here.
import assert from "node:assert/strict";
import * as sdk from "@aws-sdk/client-kinesis-video";
import { connect } from "./client.mjs";

const { client, send, raises: raised } = connect(sdk, sdk.KinesisVideoClient);
const StreamName = process.env.STREAM_NAME;

async function raises(Type, status, promise) {
    const error = await raised(Type, promise);
    assert.equal(error.$metadata.httpStatusCode, status);
    assert.match(error.$metadata.requestId, /^[0-9a-f-]{36}$/);
    return error;
}

const stories = {
    async "create and describe"() {
        await raises("ResourceNotFoundException", 404, send("DescribeStream", { StreamName }));
        const { StreamARN } = await send("CreateStream", {
            StreamName, DataRetentionInHours: 2, MediaType: "video/h264", Tags: { "größe": "4" },
        });
        const { StreamInfo } = await send("DescribeStream", { StreamARN });
        assert.equal(StreamInfo.StreamName, StreamName);
        assert.equal(StreamInfo.Status, "ACTIVE");
        assert.equal(StreamInfo.DataRetentionInHours, 2);
        assert.ok(StreamInfo.CreationTime instanceof Date);
        assert.equal(StreamARN.split("/")[2], String(StreamInfo.CreationTime.getTime()));
        assert.equal(StreamInfo.DeviceName, undefined);
        const taken = await raises("ResourceInUseException", 400, send("CreateStream", { StreamName }));
        assert.equal(taken.message, `The stream ${StreamName} already exists.`);
    },
    async "change under optimistic locking"() {
        const { Version } = (await send("DescribeStream", { StreamName })).StreamInfo;
        await send("UpdateStream", { StreamName, CurrentVersion: Version, DeviceName: "door" });
        await raises("VersionMismatchException", 400,
            send("UpdateStream", { StreamName, CurrentVersion: Version, DeviceName: "x" }));
        const now = (await send("DescribeStream", { StreamName })).StreamInfo;
        assert.equal(now.DeviceName, "door");
        await send("UpdateDataRetention", {
            StreamName, CurrentVersion: now.Version,
            Operation: "INCREASE_DATA_RETENTION", DataRetentionChangeInHours: 22,
        });
        assert.equal((await send("DescribeStream", { StreamName })).StreamInfo.DataRetentionInHours, 24);
    },
    async "tags in both families"() {
        const { StreamARN } = (await send("DescribeStream", { StreamName })).StreamInfo;
        await send("TagStream", { StreamName, Tags: { a: "1" } });
        await send("TagResource", { ResourceARN: StreamARN, Tags: [{ Key: "玄関", Value: "2" }] });
        const want = { "größe": "4", a: "1", "玄関": "2" };
        assert.deepEqual((await send("ListTagsForStream", { StreamName })).Tags, want);
        await send("UntagResource", { ResourceARN: StreamARN, TagKeyList: ["a", "größe"] });
        assert.deepEqual((await send("ListTagsForResource", { ResourceARN: StreamARN })).Tags,
            { "玄関": "2" });
        await raises("InvalidResourceFormatException", 400,
            send("TagStream", { StreamARN: "no arn", Tags: { a: "1" } }));
    },
    async "lists in pages"() {
        const names = [];
        const condition = { ComparisonOperator: "BEGINS_WITH", ComparisonValue: `${StreamName}-` };
        for (const n of [1, 2, 3]) await send("CreateStream", { StreamName: `${StreamName}-${n}` });
        const pages = sdk.paginateListStreams({ client, pageSize: 2 }, { StreamNameCondition: condition });
        for await (const page of pages) names.push(page.StreamInfoList.map((s) => s.StreamName));
        assert.deepEqual(names, [[`${StreamName}-1`, `${StreamName}-2`], [`${StreamName}-3`]]);
        await raises("InvalidArgumentException", 400, send("ListStreams", { NextToken: "AAAA" }));
    },
    async "endpoints"() {
        const of = async (APIName) => (await send("GetDataEndpoint", { StreamName, APIName })).DataEndpoint;
        assert.equal(await of("PUT_MEDIA"), process.env.KINEMA_INGEST);
        assert.equal(await of("GET_CLIP"), process.env.KINEMA_API);
    },
    async "what is newer than other SDKs"() {
        const { Version } = (await send("DescribeStream", { StreamName })).StreamInfo;
        await send("UpdateStreamStorageConfiguration", {
            StreamName, CurrentVersion: Version,
            StreamStorageConfiguration: { DefaultStorageTier: "WARM" },
        });
        const got = await send("DescribeStreamStorageConfiguration", { StreamName });
        assert.equal(got.StreamStorageConfiguration.DefaultStorageTier, "WARM");
        const mapped = await send("DescribeMappedResourceConfiguration", { StreamName });
        assert.deepEqual(mapped.MappedResourceConfigurationList, []);
        await raises("AccountChannelLimitExceededException", 400,
            send("CreateSignalingChannel", { ChannelName: "front" }));
    },
    async "a camera by its edge configuration"() {
        const HubDeviceArn = "arn:aws:iot:us-east-1:000000000000:thing/hub";
        const EdgeConfig = {
            HubDeviceArn,
            RecorderConfig: {
                MediaSourceConfig: {
                    MediaUriSecretArn: process.env.CAMERA_SECRET_ARN, MediaUriType: "RTSP_URI",
                },
                ScheduleConfig: { ScheduleExpression: "0 0 0 1 1 ? 2099", DurationInSeconds: 60 },
            },
            DeletionConfig: { EdgeRetentionInHours: 24 },
        };
        await raises("StreamEdgeConfigurationNotFoundException", 404,
            send("DescribeEdgeConfiguration", { StreamName }));
        const started = await send("StartEdgeConfigurationUpdate", { StreamName, EdgeConfig });
        assert.equal(started.SyncStatus, "SYNCING");
        const got = await send("DescribeEdgeConfiguration", { StreamName });
        assert.equal(got.SyncStatus, "IN_SYNC");
        assert.deepEqual(got.EdgeConfig, EdgeConfig);
        assert.deepEqual(got.CreationTime, started.CreationTime);
        const pages = sdk.paginateListEdgeAgentConfigurations({ client }, { HubDeviceArn });
        const listed = [];
        for await (const page of pages) listed.push(...page.EdgeConfigs);
        assert.deepEqual(listed.filter((one) => one.StreamName === StreamName)
            .map((one) => one.EdgeConfig), [EdgeConfig]);
        await send("DeleteEdgeConfiguration", { StreamName });
        await raises("StreamEdgeConfigurationNotFoundException", 404,
            send("DeleteEdgeConfiguration", { StreamName }));
    },
    async "delete"() {
        const { StreamARN } = (await send("DescribeStream", { StreamName })).StreamInfo;
        await send("DeleteStream", { StreamARN });
        await raises("ResourceNotFoundException", 404,
            send("GetDataEndpoint", { StreamName, APIName: "PUT_MEDIA" }));
    },
};

for (const [name, story] of Object.entries(stories)) {
    await story();
    console.log(`ok ${name}`);
}
console.log(`${Object.keys(stories).length} stories`);
