// How sessions, their windows and their kept results stand in rows (base/rows.h), little-endian:
//   kSessions  id = session id
//     ttl_ms, opened_unix_ms, secret hash (32 bytes with length), name, attributes, late (1 byte),
//     silent_ms, revoked (1 byte); if revoked: notice_id, notice_ms, reason, flags (1 byte: 1 =
//     acknowledged, 2 = the TTL's clock runs, 4 = due), due_ms
//   kResults   id = twice the revision of the command's entry; one more for the result of an
//   acquire
//              that this entry cancelled before it came
//     session, sequence, content hash, waiting (1 byte), code (4 bytes), kind, status, reason, end
//     reason (1 byte each), count (4 bytes), id, token, ttl_ms, version, message, payload
//   kWindows   id = session id; absent while nothing is acknowledged
//     floor, number of ranges (4 bytes), then first and last of each
// Numbers without a size are 8 bytes; texts have their length in 4 bytes before them.
#pragma once

#include <string_view>

#include "base/rows.h"
#include "session/session_table.h"

namespace holdfast::session {

Digest put_session_row(RowLog& rows, const Session& session);
Digest put_result_row(RowLog& rows, SessionId session, Sequence sequence, const KeptResult& kept);
Digest put_window_row(RowLog& rows, const Session& session);

/// A result row as read.
struct ResultRow {
  SessionId session;
  Sequence sequence;
  KeptResult kept;
};

/// False if the row is not of the form above.
bool read_session_row(std::string_view row, Session& session);
bool read_result_row(std::string_view row, ResultRow& result);
bool read_window_row(std::string_view row, SequenceSet& acknowledged);

}  // namespace holdfast::session
