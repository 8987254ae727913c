#include "coordinator/snapshot/schema.h"

#include <array>

namespace holdfast::snapshot {
namespace {

using enum FieldKind;

// The fields of each encoding, in its order: coordinator/rsm/core_rows.cc, session/rows.h,
// lockmgr/rows.h, coordinator/tree/rows.h.
constexpr std::array kMeta{Field{"applied_revision", kLong}, Field{"cluster_time_ms", kLong},
                           Field{"feature_level", kWord}};
constexpr std::array kSettings{Field{"value", kLong}};
constexpr std::array kSessions{
    Field{"ttl_ms", kLong},    Field{"opened_unix_ms", kLong}, Field{"secret_hash", kBytes},
    Field{"name", kText},      Field{"attributes", kBytes},    Field{"late", kByte},
    Field{"silent_ms", kLong}, Field{"revoked", kByte},        Field{"revocation", kRest}};
constexpr std::array kResults{
    Field{"session_id", kLong}, Field{"sequence", kLong},  Field{"content_hash", kLong},
    Field{"waiting", kByte},    Field{"code", kWord},      Field{"kind", kByte},
    Field{"status", kByte},     Field{"reason", kByte},    Field{"end_reason", kByte},
    Field{"count", kWord},      Field{"result_id", kLong}, Field{"token", kLong},
    Field{"ttl_ms", kLong},     Field{"version", kLong},   Field{"message", kText},
    Field{"payload", kBytes}};
constexpr std::array kWindows{Field{"acknowledged_floor", kLong}, Field{"ranges", kWord},
                              Field{"range_bounds", kRest}};
constexpr std::array kLocks{Field{"path", kText}, Field{"permits_max", kWord},
                            Field{"closed_until_ms", kLong}};

#define HF_PLACE_FIELDS                                                                    \
  Field{"lock_id", kLong}, Field{"session_id", kLong}, Field{"sequence", kLong},           \
      Field{"session_name", kText}, Field{"session_ttl_ms", kLong}, Field{"owner", kText}, \
      Field{"value", kBytes}, Field{"mode", kByte}, Field{"permits", kWord},               \
      Field{"lock_delay_ms", kLong}, Field {                                               \
    "since_unix_ms", kLong                                                                 \
  }

constexpr std::array kHolders{HF_PLACE_FIELDS,
                              Field{"token", kLong},
                              Field{"notice_id", kLong},
                              Field{"announced_ms", kLong},
                              Field{"notice_ms", kLong},
                              Field{"acknowledged", kByte},
                              Field{"clock_started", kByte},
                              Field{"give_away_ms", kLong},
                              Field{"note", kText}};
constexpr std::array kWaiters{HF_PLACE_FIELDS, Field{"deadline_ms", kLong}};
#undef HF_PLACE_FIELDS

constexpr std::array kTenures{
    Field{"path", kText},         Field{"place_id", kLong},      Field{"session_id", kLong},
    Field{"sequence", kLong},     Field{"session_name", kText},  Field{"owner", kText},
    Field{"token", kLong},        Field{"since_unix_ms", kLong}, Field{"ended_unix_ms", kLong},
    Field{"end_revision", kLong}, Field{"end_reason", kByte},    Field{"note", kText}};
constexpr std::array kKeys{Field{"parent_id", kLong},       Field{"name", kText},
                           Field{"value", kBytes},          Field{"kind", kByte},
                           Field{"version", kLong},         Field{"modify_revision", kLong},
                           Field{"created_unix_ms", kLong}, Field{"modified_unix_ms", kLong},
                           Field{"session_id", kLong},      Field{"ttl_ms", kLong},
                           Field{"due_ms", kLong}};
constexpr std::array kChildren{Field{"children_version", kLong}, Field{"children_revision", kLong},
                               Field{"numbered", kLong}, Field{"emptied_ms", kLong}};

constexpr std::array kTables{TableSchema{RowTable::kMeta, "meta_rows", kMeta},
                             TableSchema{RowTable::kSettings, "setting_rows", kSettings},
                             TableSchema{RowTable::kSessions, "session_rows", kSessions},
                             TableSchema{RowTable::kResults, "result_rows", kResults},
                             TableSchema{RowTable::kWindows, "window_rows", kWindows},
                             TableSchema{RowTable::kLocks, "lock_rows", kLocks},
                             TableSchema{RowTable::kLockHolders, "holder_rows", kHolders},
                             TableSchema{RowTable::kLockWaiters, "waiter_rows", kWaiters},
                             TableSchema{RowTable::kLockTenures, "tenure_rows", kTenures},
                             TableSchema{RowTable::kKeys, "key_rows", kKeys},
                             TableSchema{RowTable::kKeyChildren, "children_rows", kChildren}};

const char* column_type(FieldKind kind) {
  switch (kind) {
    case kText:
      return "TEXT NOT NULL";
    case kBytes:
      return "BLOB NOT NULL";
    case kRest:
      return "BLOB";
    default:
      return "INTEGER NOT NULL";
  }
}

constexpr const char* kHead = R"(CREATE TABLE snapshot (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  cluster_id INTEGER NOT NULL, node_id INTEGER NOT NULL,
  applied_index INTEGER NOT NULL, applied_term INTEGER NOT NULL,
  digest TEXT NOT NULL, written_unix_ms INTEGER NOT NULL, genesis BLOB NOT NULL,
  head_check INTEGER NOT NULL) STRICT)";

constexpr const char* kMembership = R"(membership (
  only_row INTEGER PRIMARY KEY CHECK (only_row = 1),
  entry_index INTEGER NOT NULL, configuration BLOB NOT NULL) STRICT)";

// No view asks one table anew for each row of another: none of these has an index besides its id.
// Revisions stand in the numbers of rows: of a key shifted by 12 bits, of a place by 6.
constexpr const char* kViews = R"(
CREATE VIEW keys AS
  WITH RECURSIVE paths(id, path) AS (
    SELECT id, '/' || name FROM key_rows WHERE parent_id = 1
    UNION ALL
    SELECT k.id, p.path || '/' || k.name FROM paths p JOIN key_rows k ON k.parent_id = p.id)
  SELECT p.path, CAST(k.value AS TEXT) AS value,
    CASE k.kind WHEN 1 THEN 'persistent' WHEN 2 THEN 'ephemeral' WHEN 3 THEN 'container'
      ELSE 'ttl' END AS kind,
    k.version, k.id >> 12 AS create_revision, k.modify_revision,
    NULLIF(k.session_id, 0) AS session_id, NULLIF(k.ttl_ms, 0) AS ttl_ms,
    datetime(k.created_unix_ms / 1000, 'unixepoch') AS created,
    datetime(k.modified_unix_ms / 1000, 'unixepoch') AS modified
  FROM paths p JOIN key_rows k ON k.id = p.id;
CREATE VIEW holders AS
  SELECT l.path, h.session_name, h.owner, CAST(h.value AS TEXT) AS value,
    CASE h.mode WHEN 1 THEN 'exclusive' WHEN 2 THEN 'shared' ELSE 'semaphore' END AS mode,
    NULLIF(h.permits, 0) AS permits, h.id >> 6 AS holder_id, h.token, h.session_id,
    datetime(h.since_unix_ms / 1000, 'unixepoch') AS since, h.notice_id <> 0 AS under_notice
  FROM holder_rows h JOIN lock_rows l ON l.id = h.lock_id;
CREATE VIEW waiters AS
  SELECT l.path, row_number() OVER (PARTITION BY w.lock_id ORDER BY w.id) AS position,
    w.session_name, w.owner,
    CASE w.mode WHEN 1 THEN 'exclusive' WHEN 2 THEN 'shared' ELSE 'semaphore' END AS mode,
    NULLIF(w.permits, 0) AS permits, w.id >> 6 AS holder_id, w.session_id,
    datetime(w.since_unix_ms / 1000, 'unixepoch') AS since
  FROM waiter_rows w JOIN lock_rows l ON l.id = w.lock_id;
CREATE VIEW locks AS
  SELECT l.path, ifnull(h.count, 0) AS holders, ifnull(w.count, 0) AS waiters,
    h.names AS held_by, h.token,
    NULLIF(l.permits_max, 0) AS permits_max, NULLIF(l.closed_until_ms, 0) AS closed_until_ms
  FROM lock_rows l
    LEFT JOIN (SELECT lock_id, count(*) AS count, group_concat(session_name, ', ') AS names,
      max(token) AS token FROM holder_rows GROUP BY lock_id) h ON h.lock_id = l.id
    LEFT JOIN (SELECT lock_id, count(*) AS count FROM waiter_rows GROUP BY lock_id) w
      ON w.lock_id = l.id;
CREATE VIEW tenures AS
  SELECT path, session_name, owner, token, place_id >> 6 AS holder_id, session_id,
    datetime(since_unix_ms / 1000, 'unixepoch') AS since,
    datetime(ended_unix_ms / 1000, 'unixepoch') AS ended, end_revision,
    CASE end_reason WHEN 1 THEN 'released' WHEN 2 THEN 'session closed'
      WHEN 3 THEN 'session expired' WHEN 4 THEN 'revoked' WHEN 5 THEN 'handed over'
      WHEN 6 THEN 'session revoked' ELSE 'restored' END AS end_reason, note
  FROM tenure_rows;
CREATE VIEW sessions AS
  SELECT s.id AS session_id, s.name, s.ttl_ms,
    datetime(s.opened_unix_ms / 1000, 'unixepoch') AS opened, s.late, s.revoked,
    ifnull(h.count, 0) AS locks, ifnull(w.count, 0) AS waits, ifnull(k.count, 0) AS ephemeral_keys
  FROM session_rows s
    LEFT JOIN (SELECT session_id, count(*) AS count FROM holder_rows GROUP BY session_id) h
      ON h.session_id = s.id
    LEFT JOIN (SELECT session_id, count(*) AS count FROM waiter_rows GROUP BY session_id) w
      ON w.session_id = s.id
    LEFT JOIN (SELECT session_id, count(*) AS count FROM key_rows GROUP BY session_id) k
      ON k.session_id = s.id;
)";

std::string create_table(const TableSchema& schema) {
  std::string sql = std::string("CREATE TABLE ") + schema.name + " (id INTEGER PRIMARY KEY";
  for (const Field& field : schema.fields) {
    sql += std::string(", ") + field.name + " " + column_type(field.kind);
  }
  return sql + ", row_check INTEGER NOT NULL) STRICT";
}

}  // namespace

std::span<const TableSchema> table_schemas() { return kTables; }

const TableSchema* find_schema(RowTable table) {
  for (const TableSchema& schema : kTables) {
    if (schema.table == table) return &schema;
  }
  return nullptr;
}

std::vector<std::string> table_statements() {
  std::vector<std::string> statements{kHead};
  for (const TableSchema& schema : kTables) statements.push_back(create_table(schema));
  return statements;
}

std::string membership_statement() {
  return std::string("CREATE TABLE IF NOT EXISTS ") + kMembership;
}

std::string membership_schema() { return std::string("CREATE TABLE ") + kMembership; }

std::vector<std::string> view_statements() {
  std::vector<std::string> views;
  const std::string_view all = kViews;
  for (size_t at = all.find("CREATE"); at != std::string_view::npos;) {
    const size_t end = all.find(";\n", at);
    views.emplace_back(all.substr(at, end - at));
    at = all.find("CREATE", end);
  }
  return views;
}

std::string create_statements() {
  std::string sql = "PRAGMA application_id = " + std::to_string(kApplicationId) +
                    ";\nPRAGMA user_version = " + std::to_string(kFormatVersion) + ";\n";
  for (const std::string& table : table_statements()) sql += table + ";\n";
  return sql + kViews;
}

}  // namespace holdfast::snapshot
