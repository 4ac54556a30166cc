"""Publishes LLM usage as the gateways do, in the disorder of real life, and prints what it sent.

Requests and responses of whole calls are shuffled together; some halves are sent twice, the second
halves of some calls only after everything else, some requests never get a response, and some
messages cannot be understood. The order and every number follow from the seed. Each line on the
standard output is a JSON object: a whole call, a lone request, or a malformed message.
"""

import argparse
import json
import random
import sys
import uuid

import pika

MODELS = ["gpt-4", "gpt-4-turbo", "gpt-3.5-turbo"]
TIMESTAMP = "2025-03-01T10:%02d:%02d.%06dZ"

# Body, and the field that is wrong with it; `%s` is the organization.
MALFORMED = [
    ("llm.request", "{", ""),
    ("llm.response", "not json at all", ""),
    ("llm.response", '["a", "list"]', ""),
    (
        "llm.response",
        '{"requestId": "bad", "organizationId": "%s", "timestamp": "2025-03-01T10:00:00Z",'
        ' "usage": {"promptTokens": -5, "completionTokens": 1, "totalTokens": 1}}',
        "usage.promptTokens",
    ),
    (
        "llm.request",
        '{"requestId": "", "organizationId": "%s", "timestamp": "2025-03-01T10:00:00Z"}',
        "requestId",
    ),
    (
        "llm.request",
        '{"requestId": "bad", "organizationId": "%s", "timestamp": "last tuesday"}',
        "timestamp",
    ),
]


def timestamp(chance):
    return TIMESTAMP % (chance.randrange(60), chance.randrange(60), chance.randrange(1_000_000))


def halves(chance, request_id, organization, user, model):
    """A call's request and response, in the shape of the contract, and what it used."""
    prompt, completion = chance.randrange(1, 4000), chance.randrange(0, 2000)
    has_usage = chance.random() < 0.8
    # Without usage, the gateway's estimates in both messages count.
    usage = {
        "promptTokens": prompt,
        "completionTokens": completion,
        "totalTokens": chance.choice([prompt + completion, 0]),
    }
    common = {
        "requestId": request_id,
        "userId": user,
        "organizationId": organization,
        "model": model,
        "assistantType": chance.choice(["word", "excel", ""]),
        "documentId": chance.choice(["doc-1", "doc-2", None]),
        "conversationId": None,
    }
    request = common | {
        "timestamp": timestamp(chance),
        "messages": [{"role": "user", "content": "a prompt that nobody may keep"}],
        "systemPrompt": "a secret",
        "tools": [],
        "characterCount": prompt * 4,
        "tokenCount": prompt if not has_usage else prompt + 7,
        "requestType": chance.choice(["stream", "non-stream"]),
        "toolCount": 0,
        "messageCount": 1,
        "temperature": 0.7,
        "maxTokens": 2000,
        "topP": 1.0,
    }
    response = common | {
        "timestamp": timestamp(chance),
        "response": "an answer that nobody may keep",
        "characterCount": completion * 4,
        "tokenCount": completion if not has_usage else completion + 3,
        "finishReason": "stop",
        "usage": usage if has_usage else None,
        "responseTimeMs": chance.randrange(10_000),
        "hasToolCalls": False,
        "toolCallCount": 0,
    }
    used = {"prompt": prompt, "completion": completion, "total": prompt + completion}
    return ("llm.request", json.dumps(request)), ("llm.response", json.dumps(response)), used


def traffic(options):
    """The messages in order, and the lines that tell what they are."""
    chance = random.Random(options.seed)
    first, last, report = [], [], []
    for number in range(options.pairs + options.requests_only):
        request_id = str(uuid.UUID(int=chance.getrandbits(128), version=4))
        user = f"{options.organization}-user-{chance.randrange(options.users)}"
        model = chance.choice(MODELS)
        request, response, used = halves(chance, request_id, options.organization, user, model)
        if number >= options.pairs:
            first.append(request)
            report.append({"sent": "request_only", "request_id": request_id})
            continue
        early, late = chance.choice([(request, response), (response, request)])
        first.append(early)
        (last if number < options.delayed else first).append(late)
        report.append(
            {"sent": "pair", "request_id": request_id, "user": user, "model": model, **used}
        )
    for number in range(options.malformed):
        key, body, field = MALFORMED[number % len(MALFORMED)]
        body = body.replace("%s", options.organization)
        first.append((key, body))
        report.append({"sent": "malformed", "body": body, "field": field})
    good = [message for message in first if options.organization in message[1]
            and '"requestId": "bad"' not in message[1] and '"requestId": ""' not in message[1]]
    for _ in range(options.duplicates):
        first.append(chance.choice(good))
    chance.shuffle(first)
    chance.shuffle(last)
    return first + last, report


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--exchange", required=True)
    parser.add_argument("--organization", required=True)
    for name in ["pairs", "users", "duplicates", "delayed", "requests-only", "malformed", "seed"]:
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()

    messages, report = traffic(options)
    connection = pika.BlockingConnection(pika.URLParameters(options.url))
    channel = connection.channel()
    channel.confirm_delivery()
    for key, body in messages:
        channel.basic_publish(
            options.exchange,
            key,
            body.encode(),
            pika.BasicProperties(delivery_mode=2, content_type="application/json"),
            mandatory=True,
        )
    connection.close()
    for line in report:
        print(json.dumps(line))


if __name__ == "__main__":
    sys.exit(main())
