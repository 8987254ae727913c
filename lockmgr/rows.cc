#include "lockmgr/rows.h"

#include <string_view>

#include "base/bytes.h"

namespace holdfast::lockmgr {
namespace {

std::string_view read_text(ByteReader& reader) {
  return reader.read_bytes(reader.read<uint32_t>());
}

int64_t read_signed(ByteReader& reader) { return static_cast<int64_t>(reader.read<uint64_t>()); }

/// Zero or one; anything else is not ours.
bool read_flag(ByteReader& reader, bool& flag) {
  const uint8_t byte = reader.read<uint8_t>();
  flag = byte == 1;
  return byte <= 1;
}

bool whole(const ByteReader& reader) { return reader.ok() && reader.remaining() == 0; }

void put_place(RowLog& log, const PlaceFields& place) {
  log.put64(place.lock_id);
  log.put64(place.session.value);
  log.put64(place.sequence.value);
  log.put_bytes(place.session_name);
  log.put_signed(place.session_ttl_ms);
  log.put_bytes(place.owner);
  log.put_bytes(place.value);
  log.put8(static_cast<uint8_t>(place.mode));
  log.put32(place.permits);
  log.put_signed(place.lock_delay_ms);
  log.put_signed(place.since_unix_ms);
}

bool read_place(ByteReader& reader, PlaceFields& place) {
  place.lock_id = reader.read<uint64_t>();
  place.session = SessionId(reader.read<uint64_t>());
  place.sequence = Sequence(reader.read<uint64_t>());
  place.session_name = read_text(reader);
  place.session_ttl_ms = read_signed(reader);
  place.owner = read_text(reader);
  place.value = read_text(reader);
  const uint8_t mode = reader.read<uint8_t>();
  place.mode = static_cast<LockMode>(mode);
  place.permits = reader.read<uint32_t>();
  place.lock_delay_ms = read_signed(reader);
  place.since_unix_ms = read_signed(reader);
  return mode >= 1 && mode <= static_cast<uint8_t>(LockMode::kSemaphore) &&
         (place.mode == LockMode::kSemaphore) == (place.permits > 0);
}

}  // namespace

Digest write_row(RowLog& log, uint64_t id, const LockRow& row) {
  log.begin(RowTable::kLocks, id);
  log.put_bytes(row.path);
  log.put32(row.limit);
  log.put_signed(row.closed_until_ms);
  return log.finish();
}

bool read_row(std::string_view bytes, LockRow& row) {
  ByteReader reader(bytes);
  row.path = read_text(reader);
  row.limit = reader.read<uint32_t>();
  row.closed_until_ms = read_signed(reader);
  return whole(reader) && !row.path.empty();
}

Digest write_row(RowLog& log, uint64_t id, const WaiterRow& row) {
  log.begin(RowTable::kLockWaiters, id);
  put_place(log, row.place);
  log.put_signed(row.deadline_ms);
  return log.finish();
}

bool read_row(std::string_view bytes, WaiterRow& row) {
  ByteReader reader(bytes);
  const bool good = read_place(reader, row.place);
  row.deadline_ms = read_signed(reader);
  return good && whole(reader);
}

Digest write_row(RowLog& log, uint64_t id, const HolderRow& row) {
  log.begin(RowTable::kLockHolders, id);
  put_place(log, row.place);
  log.put64(row.token.value);
  log.put64(row.notice_id.value);
  log.put_signed(row.announced_ms);
  log.put_signed(row.notice_ms);
  log.put8(row.acknowledged ? 1 : 0);
  log.put8(row.clock_started ? 1 : 0);
  log.put_signed(row.give_away_ms);
  log.put_bytes(row.note);
  return log.finish();
}

bool read_row(std::string_view bytes, HolderRow& row) {
  ByteReader reader(bytes);
  bool good = read_place(reader, row.place);
  row.token = Revision(reader.read<uint64_t>());
  row.notice_id = Revision(reader.read<uint64_t>());
  row.announced_ms = read_signed(reader);
  row.notice_ms = read_signed(reader);
  good = read_flag(reader, row.acknowledged) && good;
  good = read_flag(reader, row.clock_started) && good;
  row.give_away_ms = read_signed(reader);
  row.note = read_text(reader);
  return good && whole(reader) && row.token.value > 0;
}

Digest write_row(RowLog& log, uint64_t id, const TenureRow& row) {
  log.begin(RowTable::kLockTenures, id);
  log.put_bytes(row.path);
  log.put64(row.place_id);
  log.put64(row.session.value);
  log.put64(row.sequence.value);
  log.put_bytes(row.session_name);
  log.put_bytes(row.owner);
  log.put64(row.token.value);
  log.put_signed(row.since_unix_ms);
  log.put_signed(row.ended_unix_ms);
  log.put64(row.end_revision.value);
  log.put8(static_cast<uint8_t>(row.reason));
  log.put_bytes(row.note);
  return log.finish();
}

bool read_row(std::string_view bytes, TenureRow& row) {
  ByteReader reader(bytes);
  row.path = read_text(reader);
  row.place_id = reader.read<uint64_t>();
  row.session = SessionId(reader.read<uint64_t>());
  row.sequence = Sequence(reader.read<uint64_t>());
  row.session_name = read_text(reader);
  row.owner = read_text(reader);
  row.token = Revision(reader.read<uint64_t>());
  row.since_unix_ms = read_signed(reader);
  row.ended_unix_ms = read_signed(reader);
  row.end_revision = Revision(reader.read<uint64_t>());
  const uint8_t reason = reader.read<uint8_t>();
  row.reason = static_cast<EndReason>(reason);
  row.note = read_text(reader);
  return whole(reader) && reason >= 1 && reason <= static_cast<uint8_t>(EndReason::kRestored);
}

}  // namespace holdfast::lockmgr
