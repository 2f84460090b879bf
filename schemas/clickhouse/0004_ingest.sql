-- Whose data was erased, by the SHA-256 of the user's id: the tombstone holds no personal data itself.
-- What happened until erased_at and comes in again (a replay, a backfill) is stored without the
-- person. account '' means every account. Written by `auditbus erase` alone.
CREATE TABLE IF NOT EXISTS audit.erasures
(
    account String,
    user_hash String COMMENT 'SHA-256 in upper-case hex',
    erasure_id String,
    erased_at DateTime64(3, 'UTC'),
    requested_by String,
    reason String
)
ENGINE = ReplacingMergeTree(erased_at)
ORDER BY (account, user_hash);

CREATE DICTIONARY IF NOT EXISTS audit.erased_users
(
    account String,
    user_hash String,
    erasure_id String,
    erased_at DateTime64(3, 'UTC')
)
PRIMARY KEY account, user_hash
-- The first row is there once anything was erased: by it, the view knows whether it need look.
SOURCE(CLICKHOUSE(USER @dictionary_user@ QUERY 'SELECT \'\' AS account, \'\' AS user_hash, \'\' AS erasure_id, toDateTime64(0, 3, \'UTC\') AS erased_at FROM audit.erasures LIMIT 1 UNION ALL SELECT account, user_hash, erasure_id, erased_at FROM audit.erasures FINAL'))
LIFETIME(MIN 30 MAX 60)
LAYOUT(COMPLEX_KEY_HASHED());

SYSTEM RELOAD DICTIONARY audit.erased_users;

-- Where the sink inserts: one row a Kafka record, its value as it came. Stores nothing itself.
CREATE TABLE IF NOT EXISTS audit.ingest (line String) ENGINE = Null;

-- Each line is parsed once, by one JSONExtract. JSONExtract never fails: where a type is wrong it
-- gives a default or the value's JSON text. So the WHERE refuses such a line, and with it the
-- insert, which the sink then bisects. It works in two steps to be quick:
--   1. One regular expression asks whether a name that is read here stands before a value of
--      another type anywhere in the line, however deep, or may be hidden in a \u escape. Most lines
--      end here.
--   2. Only then are the types judged exactly, path by path (a metadata.id may well be a number).
--      Only plain names count: an unknown field may be called "error.code", or "id:".
-- What names a person whose data was erased is replaced before all that, by what the innermost
-- queries make of it: that an event happened, without the person.
-- JSON null is the same as absent. Changing this view: ALTER TABLE audit.ingest_to_events MODIFY
-- QUERY, never DROP and CREATE, as audit.ingest would swallow what comes in between.
CREATE MATERIALIZED VIEW IF NOT EXISTS audit.ingest_to_events TO audit.events AS
WITH
    position(line, '\\u') > 0 AS has_escapes,
    e.error.code != '' OR e.error.message != '' OR ((position(line, '"error"') > 0 OR has_escapes) AND JSONType(line, 'error') = 'Object') AS has_error,
    arrayFilter(kv -> match(kv.1, '^[a-z_]+$'), JSONExtractKeysAndValuesRaw(line)) AS plainly_named,
    arrayMap(kv -> concat(kv.1, ':', substring(kv.2, 1, 1)), plainly_named) AS top_types,
    arrayFlatten(arrayMap(kv -> arrayMap(m -> concat(kv.1, '.', m.1, ':', substring(m.2, 1, 1)), arrayFilter(m -> match(m.1, '^[a-z_]+$'), JSONExtractKeysAndValuesRaw(kv.2))), plainly_named)) AS member_types,
    arrayFlatten(arrayMap(t -> arrayPushBack(arrayMap(m -> concat('targets[].', m.1, ':', substring(m.2, 1, 1)), arrayFilter(m -> match(m.1, '^[a-z_]+$'), JSONExtractKeysAndValuesRaw(t))), concat('targets[]:', substring(t, 1, 1))), JSONExtractArrayRaw(line, 'targets'))) AS target_types
SELECT
    toUUID(e.id) AS id,
    parseDateTime64BestEffort(e.occurred_at, 3, 'UTC') AS time,
    parseDateTime64BestEffort(e.received_at, 3, 'UTC') AS received_at,
    e.account.id AS account,
    e.account.name AS account_name,
    e.action AS action,
    e.category AS category,
    e.operation AS operation,
    e.description AS description,
    multiIf(e.outcome != '', e.outcome, has_error, 'failure', 'success') AS outcome,
    e.actor.type AS actor_type,
    e.actor.id AS actor_id,
    e.actor.name AS actor_name,
    e.actor.email AS actor_email,
    arrayStringConcat(arrayMap(t -> concatWithSeparator(' ', t['type'], t['name'], t['id']), e.targets), ', ') AS targets,
    e.context.ip AS ip_text,
    multiIf(
        ip_text = '', toIPv6('::'),
        isNotNull(toIPv6OrNull(ip_text)), toIPv6OrDefault(ip_text),
        toIPv6OrDefault(extract(ip_text, '^\\[?([0-9.]+|[0-9A-Fa-f:.]+)(?:%[^\\]]*)?\\]?(?::[0-9]+)?$'))
    ) AS ip,
    e.context.user_agent AS user_agent,
    e.location.country_code AS country_code,
    e.location.country AS country,
    e.location.region AS region,
    e.location.city AS city,
    e.location.label AS location,
    e.device.label AS device,
    e.device.type AS device_type,
    e.device.os AS os,
    e.device.browser AS browser,
    e.error.code AS error_code,
    e.error.message AS error_message,
    toUInt32(e.origin.partition) AS origin_partition,
    toUInt64(e.origin.offset) AS origin_offset,
    line AS event,
    dictGetOrDefault('audit.retention_by_account', 'days', account, toUInt16(180)) AS retention_days,
    dictHas('audit.hold_by_account', account) AS on_hold,
    bitNot(toUInt64(toUnixTimestamp64Milli(received_at))) AS version
FROM
(
    SELECT
        line,
        JSONExtract(line, 'Tuple(id String, occurred_at String, received_at String, account Tuple(id String, name String), action String, category String, operation String, description String, outcome String, actor Tuple(type String, id String, name String, email String), targets Array(Map(String, String)), context Tuple(ip String, user_agent String), location Tuple(country_code String, country String, region String, city String, label String), device Tuple(type String, os String, browser String, label String), error Tuple(code String, message String), origin Tuple(partition String, offset String))') AS e
    FROM
    (
        SELECT if(
            arrayExists(erasure -> erasure != '', erasures),
            concat(
                '{',
                arrayStringConcat(arrayMap(kv -> concat(toJSONString(kv.1), ':', kv.2), arrayFilter(
                    kv -> kv.1 IN ('id', 'schema_version', 'action', 'occurred_at', 'received_at', 'account', 'category', 'operation', 'outcome', 'producer', 'origin')
                        OR (kv.1 IN ('context', 'location', 'device') AND erasures[1] = ''),
                    JSONExtractKeysAndValuesRaw(sent)
                )), ','),
                ',"actor":{"type":', toJSONString(who.actor.type),
                ',"id":', toJSONString(if(erasures[1] != '', concat('erased:', erasures[1]), who.actor.id)),
                if(erasures[1] != '', '', concat(',"name":', toJSONString(who.actor.name), ',"email":', toJSONString(who.actor.email))),
                '},"targets":[',
                arrayStringConcat(arrayMap(
                    (target, erasure) -> concat('{"type":', toJSONString(target['type']), ',"id":', toJSONString(if(erasure != '', concat('erased:', erasure), target['id'])), '}'),
                    who.targets, arraySlice(erasures, 3)
                ), ','),
                ']', if(who.error.code != '' OR JSONType(sent, 'error') = 'Object', concat(',"error":{"code":', toJSONString(who.error.code), '}'), ''),
                ',"erased":{"erasure_id":', toJSONString(arrayFirst(erasure -> erasure != '', erasures)), '}}'
            ),
            sent
        ) AS line
        FROM
        (
            SELECT
                line AS sent,
                -- The one look for all: nothing below is done for a line while nobody was erased.
                dictHas('audit.erased_users', ('', '')) AS anybody,
                if(anybody, JSONExtract(line, 'Tuple(occurred_at String, account Tuple(id String), actor Tuple(type String, id String, name String, email String, on_behalf_of Tuple(id String)), targets Array(Map(String, String)), error Tuple(code String))'), defaultValueOfTypeName('Tuple(occurred_at String, account Tuple(id String), actor Tuple(type String, id String, name String, email String, on_behalf_of Tuple(id String)), targets Array(Map(String, String)), error Tuple(code String))')) AS who,
                -- Of the actor, of whom it acts for, and of each target: the erasure, or ''.
                if(anybody, arrayMap(
                    hash -> multiIf(
                        dictGetOrDefault('audit.erased_users', 'erased_at', (who.account.id, hash), toDateTime64(0, 3, 'UTC')) >= parseDateTime64BestEffortOrZero(who.occurred_at, 3, 'UTC'),
                        dictGetOrDefault('audit.erased_users', 'erasure_id', (who.account.id, hash), ''),
                        dictGetOrDefault('audit.erased_users', 'erased_at', ('', hash), toDateTime64(0, 3, 'UTC')) >= parseDateTime64BestEffortOrZero(who.occurred_at, 3, 'UTC'),
                        dictGetOrDefault('audit.erased_users', 'erasure_id', ('', hash), ''),
                        ''
                    ),
                    arrayMap(id -> hex(SHA256(id)), arrayConcat([who.actor.id, who.actor.on_behalf_of.id], arrayMap(target -> target['id'], who.targets)))
                ), []) AS erasures
            FROM audit.ingest
        )
    )
)
-- A sum, not AND: a chain of ANDs is evaluated lazily and copies the lines for every link.
WHERE throwIf(e.id = '' OR e.action = '' OR e.occurred_at = '' OR e.received_at = '' OR startsWith(line, '\xEF\xBB\xBF'), 'not a JSON object with id, action, occurred_at and received_at')
    + throwIf(e.origin.partition = '' OR e.origin.offset = '', 'origin.partition or origin.offset is missing')
    + throwIf(
        (
            match(line, '"(?:(?:id|occurred_at|received_at|action|category|operation|description|outcome|type|name|email|ip|user_agent|country_code|country|region|city|label|os|browser|code|message)"\\s*:\\s*[^"n\\s]|(?:account|actor|context|location|device|error|origin)"\\s*:\\s*[^{n\\s]|targets"\\s*:\\s*[^\\[n\\s]|(?:partition|offset)"\\s*:\\s*[^0-9\\s])')
            OR has_escapes
            OR has(e.targets, map())
        )
        AND arrayExists(
            t -> match(t, '^(?:(?:id|occurred_at|received_at|action|category|operation|description|outcome|account\\.(?:id|name)|actor\\.(?:type|id|name|email)|context\\.(?:ip|user_agent)|location\\.(?:country_code|country|region|city|label)|device\\.(?:type|os|browser|label)|error\\.(?:code|message)|targets\\[\\]\\.(?:type|id|name)):[^"n]|(?:account|actor|context|location|device|error|origin):[^{n]|targets:[^\\[n]|targets\\[\\]:[^{]|origin\\.(?:partition|offset):[^0-9])'),
            arrayConcat(top_types, member_types, target_types)
        ),
        'a field has the wrong type'
    )
    + throwIf(e.account.id = '', 'account.id is missing')
    + throwIf(abs(dateDiff('day', time, received_at)) > 11 * 366, 'occurred_at is more than ten years from received_at') = 0;
