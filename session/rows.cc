#include "session/rows.h"

#include <algorithm>
#include <string>

#include "base/bytes.h"

namespace holdfast::session {
namespace {

constexpr uint8_t kAcknowledged = 1;
constexpr uint8_t kTtlRunning = 2;
constexpr uint8_t kDue = 4;

void put_revocation(RowLog& rows, const Revocation& revocation) {
  rows.put64(revocation.notice_id.value);
  rows.put_signed(revocation.notice_ms);
  rows.put_bytes(revocation.reason);
  uint8_t flags = 0;
  if (revocation.acknowledged) flags |= kAcknowledged;
  if (revocation.ttl_running) flags |= kTtlRunning;
  if (revocation.due_ms) flags |= kDue;
  rows.put8(flags);
  rows.put_signed(revocation.due_ms.value_or(0));
}

int64_t read_signed(ByteReader& reader) { return static_cast<int64_t>(reader.read<uint64_t>()); }

std::string_view read_text(ByteReader& reader) {
  return reader.read_bytes(reader.read<uint32_t>());
}

std::unique_ptr<Revocation> read_revocation(ByteReader& reader) {
  auto revocation = std::make_unique<Revocation>();
  revocation->notice_id = Revision(reader.read<uint64_t>());
  revocation->notice_ms = read_signed(reader);
  revocation->reason = read_text(reader);
  const auto flags = reader.read<uint8_t>();
  const int64_t due_ms = read_signed(reader);
  revocation->acknowledged = (flags & kAcknowledged) != 0;
  revocation->ttl_running = (flags & kTtlRunning) != 0;
  if ((flags & kDue) != 0) revocation->due_ms = due_ms;
  return revocation;
}

}  // namespace

Digest put_session_row(RowLog& rows, const Session& session) {
  rows.begin(RowTable::kSessions, session.id.value);
  rows.put_signed(session.ttl_ms);
  rows.put_signed(session.opened_unix_ms);
  rows.put_bytes({session.secret_hash.data(), session.secret_hash.size()});
  rows.put_bytes(session.name);
  rows.put_bytes(session.attributes);
  rows.put8(session.late ? 1 : 0);
  rows.put_signed(session.silent_ms);
  rows.put8(session.revocation ? 1 : 0);
  if (session.revocation) put_revocation(rows, *session.revocation);
  return rows.finish();
}

Digest put_result_row(RowLog& rows, SessionId session, Sequence sequence, const KeptResult& kept) {
  const CommandResult& result = kept.result;
  rows.begin(RowTable::kResults, kept.row_id);
  rows.put64(session.value);
  rows.put64(sequence.value);
  rows.put64(kept.content_hash);
  rows.put8(kept.waiting ? 1 : 0);
  rows.put32(static_cast<uint32_t>(result.code));
  rows.put8(result.kind);
  rows.put8(result.status);
  rows.put8(result.reason);
  rows.put8(result.end_reason);
  rows.put32(result.count);
  rows.put64(result.id.value);
  rows.put64(result.token.value);
  rows.put_signed(result.ttl_ms);
  rows.put64(result.version);
  rows.put_bytes(result.message);
  rows.put_bytes(result.payload);
  return rows.finish();
}

Digest put_window_row(RowLog& rows, const Session& session) {
  const SequenceSet& acknowledged = session.window.acknowledged();
  rows.begin(RowTable::kWindows, session.id.value);
  rows.put64(acknowledged.floor().value);
  rows.put32(static_cast<uint32_t>(acknowledged.ranges().size()));
  for (const SequenceRange& range : acknowledged.ranges()) {
    rows.put64(range.first.value);
    rows.put64(range.last.value);
  }
  return rows.finish();
}

bool read_session_row(std::string_view row, Session& session) {
  ByteReader reader(row);
  session.ttl_ms = read_signed(reader);
  session.opened_unix_ms = read_signed(reader);
  const std::string_view hash = read_text(reader);
  if (hash.size() != session.secret_hash.size()) return false;
  std::copy(hash.begin(), hash.end(), session.secret_hash.begin());
  session.name = read_text(reader);
  session.attributes = read_text(reader);
  session.late = reader.read<uint8_t>() != 0;
  session.silent_ms = read_signed(reader);
  if (reader.read<uint8_t>() != 0) session.revocation = read_revocation(reader);
  return reader.ok() && reader.remaining() == 0;
}

bool read_result_row(std::string_view row, ResultRow& result) {
  ByteReader reader(row);
  result.session = SessionId(reader.read<uint64_t>());
  result.sequence = Sequence(reader.read<uint64_t>());
  KeptResult& kept = result.kept;
  kept.content_hash = reader.read<uint64_t>();
  kept.waiting = reader.read<uint8_t>() != 0;
  kept.result.code = static_cast<ErrorCode>(reader.read<uint32_t>());
  kept.result.kind = reader.read<uint8_t>();
  kept.result.status = reader.read<uint8_t>();
  kept.result.reason = reader.read<uint8_t>();
  kept.result.end_reason = reader.read<uint8_t>();
  kept.result.count = reader.read<uint32_t>();
  kept.result.id = Revision(reader.read<uint64_t>());
  kept.result.token = Revision(reader.read<uint64_t>());
  kept.result.ttl_ms = read_signed(reader);
  kept.result.version = reader.read<uint64_t>();
  kept.result.message = read_text(reader);
  kept.result.payload = read_text(reader);
  return reader.ok() && reader.remaining() == 0;
}

bool read_window_row(std::string_view row, SequenceSet& acknowledged) {
  ByteReader reader(row);
  const Sequence floor(reader.read<uint64_t>());
  const auto count = reader.read<uint32_t>();
  if (reader.remaining() != uint64_t{count} * 2 * sizeof(uint64_t)) return false;
  std::vector<SequenceRange> ranges(count);
  for (SequenceRange& range : ranges) {
    range.first = Sequence(reader.read<uint64_t>());
    range.last = Sequence(reader.read<uint64_t>());
  }
  return reader.ok() && acknowledged.assign(floor, std::move(ranges));
}

}  // namespace holdfast::session
