"""A request of every format with everything in it that its translation reads."""

from typing import Any

SCHEMA = {
    "type": "object",
    "title": "a",
    "properties": {"a": {"type": ["integer", "null"]}, "b": {"items": {"type": "string"}}},
    "required": ["a", "b"],
    "additionalProperties": False,
    "anyOf": [{"$ref": "#/$defs/c"}],
    "$defs": {"c": {"type": "object"}},
}
PICTURE, PAPER = "data:image/png;base64,aGk=", "data:application/pdf;base64,aGk="
CHAT: dict[str, Any] = {
    "model": "m",
    "stream": True,
    "stream_options": {"include_usage": True},
    "messages": [
        {"role": "system", "content": "be brief"},
        {
            "role": "user",
            "name": "u",
            "content": [
                {"type": "text", "text": "see", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": PICTURE, "detail": "low"}},
                {"type": "file", "file": {"file_data": PAPER, "filename": "a.pdf"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "reasoning_content": "hm",
            "reasoning_details": [
                {"type": "reasoning.text", "text": "hm", "signature": "s"},
                {"type": "reasoning.encrypted", "data": "hub.anthropic.x"},
            ],
            "tool_calls": [
                {
                    "id": "c1",
                    "type": "function",
                    "function": {"name": "look", "arguments": '{"city":"Oslo"}'},
                    "extra_content": {"google": {"thought_signature": "c2ln"}},
                }
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "rain"}]},
        {"role": "user", "content": "and?"},
    ],
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "look",
                "description": "d",
                "parameters": SCHEMA,
                "strict": True,
            },
        },
        {"type": "custom", "custom": {"name": "patch", "description": "d"}},
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {
            "mode": "auto",
            "tools": [{"type": "function", "function": {"name": "look"}}],
        },
    },
    "parallel_tool_calls": True,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "a", "schema": SCHEMA, "strict": True, "description": "d"},
    },
    "reasoning_effort": "low",
    "max_tokens": 100,
    "max_completion_tokens": 2000,
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 4,
    "seed": 1,
    "stop": ["END"],
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "user": "u",
    "safety_identifier": "u",
    "prompt_cache_key": "k",
    "service_tier": "auto",
    "modalities": ["text"],
    "n": 1,
    "logprobs": False,
    "logit_bias": {},
    "web_search_options": {},
}
RESPONSES: dict[str, Any] = {
    "model": "m",
    "stream": True,
    "instructions": "be brief",
    "input": [
        {
            "role": "user",
            "content": [
                {"type": "input_text", "text": "see"},
                {"type": "input_image", "image_url": PICTURE, "detail": "low"},
                {"type": "input_file", "file_data": PAPER, "filename": "a.pdf"},
            ],
        },
        {
            "type": "reasoning",
            "id": "rs_1",
            "summary": [{"type": "summary_text", "text": "hm"}],
            "encrypted_content": "hub.anthropic.x",
        },
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "so", "annotations": []}],
        },
        {
            "type": "function_call",
            "call_id": "c1",
            "name": "look",
            "namespace": "n",
            "arguments": "{}",
        },
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "x"},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "done"}],
        },
    ],
    "tools": [
        {"type": "function", "name": "look", "description": "d", "parameters": SCHEMA},
        {
            "type": "custom",
            "name": "patch",
            "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
        },
        {"type": "namespace", "name": "n", "tools": [{"type": "function", "name": "look"}]},
        {"type": "web_search"},
    ],
    "tool_choice": {"type": "function", "name": "look"},
    "parallel_tool_calls": False,
    "text": {"format": {"type": "json_schema", "name": "a", "schema": SCHEMA}, "verbosity": "low"},
    "reasoning": {"effort": "low", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "max_output_tokens": 2000,
    "temperature": 0.5,
    "top_p": 0.5,
    "user": "u",
    "prompt_cache_key": "k",
    "service_tier": "auto",
    "store": False,
    "metadata": {"a": "b"},
    "truncation": "auto",
    "stream_options": {"include_obfuscation": False},
}
MARK = {"type": "ephemeral", "ttl": "1h"}
SOURCE = {"type": "base64", "media_type": "image/png", "data": "aGk="}
ANTHROPIC: dict[str, Any] = {
    "model": "m",
    "max_tokens": 2000,
    "stream": True,
    "system": [{"type": "text", "text": "be brief", "cache_control": MARK}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see", "citations": []},
                {"type": "image", "source": SOURCE, "cache_control": MARK},
                {
                    "type": "document",
                    "title": "t",
                    "context": "c",
                    "citations": {"enabled": True},
                    "source": {"type": "content", "content": [{"type": "text", "text": "x"}]},
                },
                {
                    "type": "search_result",
                    "title": "t",
                    "source": "s",
                    "content": [{"type": "text", "text": "x"}],
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "call.hub.gemini.x"},
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"city": "Oslo"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "c1",
                    "is_error": True,
                    "content": [
                        {"type": "text", "text": "rain"},
                        {"type": "image", "source": SOURCE},
                    ],
                },
            ],
        },
    ],
    "tools": [
        {
            "name": "look",
            "description": "d",
            "input_schema": SCHEMA,
            "strict": True,
            "cache_control": MARK,
        },
        {"type": "web_search_20250305", "name": "web_search"},
    ],
    "tool_choice": {"type": "tool", "name": "look", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": SCHEMA}},
    "metadata": {"user_id": "u"},
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "top_p": 0.5,
    "top_k": 4,
    "service_tier": "auto",
    "cache_control": MARK,
    "container": None,
    "mcp_servers": [],
    "inference_geo": "global",
}
GEMINI: dict[str, Any] = {
    "systemInstruction": {"parts": [{"text": "be brief"}]},
    "contents": [
        {
            "role": "user",
            "parts": [
                {"text": "see"},
                {"inlineData": {"mimeType": "image/png", "data": "aGk=", "displayName": "a"}},
                {"fileData": {"mimeType": "image/png", "fileUri": "s3://films/b.png"}},
            ],
        },
        {
            "role": "model",
            "parts": [
                {"text": "hm", "thought": True, "thoughtSignature": "aHViLmEuYg=="},
                {"text": "so"},
                {
                    "functionCall": {"id": "c1", "name": "look", "args": {"city": "Oslo"}},
                    "thoughtSignature": "c2ln",
                },
            ],
        },
        {
            "role": "user",
            "parts": [
                {
                    "functionResponse": {
                        "id": "c1",
                        "name": "look",
                        "response": {"output": "rain"},
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": "aGk="}}],
                    }
                }
            ],
        },
    ],
    "tools": [
        {
            "functionDeclarations": [
                {
                    "name": "look",
                    "description": "d",
                    "parameters": {
                        "type": "OBJECT",
                        "nullable": True,
                        "properties": {"a": {"type": "STRING", "enum": ["x"], "minLength": "1"}},
                        "propertyOrdering": ["a"],
                        "required": ["a"],
                    },
                },
                {"name": "see", "parametersJsonSchema": SCHEMA},
            ]
        },
        {"googleSearch": {}},
    ],
    "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["look"]}},
    "generationConfig": {
        "responseMimeType": "application/json",
        "responseSchema": {"type": "OBJECT", "anyOf": [{"type": "STRING"}], "defs": {"a": {}}},
        "thinkingConfig": {
            "thinkingBudget": 10,
            "thinkingLevel": "LOW",
            "includeThoughts": True,
        },
        "maxOutputTokens": 2000,
        "temperature": 0.5,
        "topP": 0.5,
        "topK": 4.0,
        "seed": 1,
        "stopSequences": ["END"],
        "presencePenalty": 0.5,
        "frequencyPenalty": 0.5,
        "candidateCount": 1,
        "responseModalities": ["TEXT"],
    },
    "serviceTier": "standard",
    "safetySettings": [{"category": "x"}],
    "labels": {"a": "b"},
}
AIGNE: dict[str, Any] = {
    "model": "m",
    "input": {
        "messages": [
            {"role": "system", "content": "be brief", "cacheControl": {"ttl": "1h"}},
            {
                "role": "user",
                "name": "u",
                "content": [
                    {"type": "text", "text": "see", "cacheControl": {"ttl": "5m"}},
                    {"type": "url", "url": PICTURE, "mimeType": "image/png"},
                    {"type": "file", "data": "aGk=", "filename": "a.pdf"},
                ],
            },
            {
                "role": "agent",
                "content": "so",
                "toolCalls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "look", "arguments": {"city": "Oslo"}},
                        "metadata": {"thoughtSignature": "c2ln"},
                    }
                ],
            },
            {"role": "tool", "toolCallId": "c1", "content": "rain"},
        ],
        "tools": [
            {
                "type": "function",
                "function": {"name": "look", "description": "d", "parameters": SCHEMA},
            }
        ],
        "toolChoice": {"type": "function", "function": {"name": "look"}},
        "responseFormat": {
            "type": "json_schema",
            "jsonSchema": {"name": "a", "schema": SCHEMA, "strict": True},
        },
        "modelOptions": {
            "model": "m",
            "temperature": 0.5,
            "topP": 0.5,
            "topK": 4,
            "seed": 1,
            "stop": ["END"],
            "presencePenalty": 0.5,
            "frequencyPenalty": 0.5,
            "parallelToolCalls": True,
            "modalities": ["text"],
            "reasoningEffort": "low",
            "maxTokens": 2000,
            "cacheConfig": {
                "enabled": True,
                "ttl": "1h",
                "strategy": "auto",
                "autoBreakpoints": {"tools": True, "system": True, "lastMessage": True},
            },
        },
    },
    "options": {"streaming": True},
}
FLAT: dict[str, Any] = {
    **{name: value for name, value in CHAT.items() if "_" not in name},
    "topP": 0.5,
    "responseFormat": {
        "type": "json_schema",
        "jsonSchema": {"name": "a", "schema": SCHEMA, "strict": True},
    },
}
