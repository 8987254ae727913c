#include "coordinator/tree/rows.h"

#include <string_view>

#include "base/bytes.h"

namespace holdfast::tree {
namespace {

std::string_view read_text(ByteReader& reader) {
  return reader.read_bytes(reader.read<uint32_t>());
}

int64_t read_signed(ByteReader& reader) { return static_cast<int64_t>(reader.read<uint64_t>()); }

bool whole(const ByteReader& reader) { return reader.ok() && reader.remaining() == 0; }

bool is_kind(uint8_t kind) {
  return kind >= static_cast<uint8_t>(KeyKind::kPersistent) &&
         kind <= static_cast<uint8_t>(KeyKind::kTtl);
}

/// An owner and a TTL stand where the kind wants them, and nowhere else.
bool fits_its_kind(const KeyRow& row) {
  const bool timed = row.kind == KeyKind::kTtl;
  return (row.session.value != 0) == (row.kind == KeyKind::kEphemeral) &&
         (row.ttl_ms > 0) == timed && row.ttl_ms >= 0 && (timed || row.due_ms == 0);
}

}  // namespace

Digest write_row(RowLog& log, uint64_t id, const KeyRow& row) {
  log.begin(RowTable::kKeys, id);
  log.put64(row.parent_id);
  log.put_bytes(row.name);
  log.put_bytes(row.value);
  log.put8(static_cast<uint8_t>(row.kind));
  log.put64(row.version);
  log.put64(row.modify_revision.value);
  log.put_signed(row.created_unix_ms);
  log.put_signed(row.modified_unix_ms);
  log.put64(row.session.value);
  log.put_signed(row.ttl_ms);
  log.put_signed(row.due_ms);
  return log.finish();
}

bool read_row(std::string_view bytes, KeyRow& row) {
  ByteReader reader(bytes);
  row.parent_id = reader.read<uint64_t>();
  row.name = read_text(reader);
  row.value = read_text(reader);
  const uint8_t kind = reader.read<uint8_t>();
  row.kind = static_cast<KeyKind>(kind);
  row.version = reader.read<uint64_t>();
  row.modify_revision = Revision(reader.read<uint64_t>());
  row.created_unix_ms = read_signed(reader);
  row.modified_unix_ms = read_signed(reader);
  row.session = SessionId(reader.read<uint64_t>());
  row.ttl_ms = read_signed(reader);
  row.due_ms = read_signed(reader);
  return whole(reader) && is_kind(kind) && row.version > 0 && fits_its_kind(row);
}

Digest write_row(RowLog& log, uint64_t id, const ChildrenRow& row) {
  log.begin(RowTable::kKeyChildren, id);
  log.put64(row.version);
  log.put64(row.revision.value);
  log.put64(row.numbered);
  log.put_signed(row.emptied_ms);
  return log.finish();
}

bool read_row(std::string_view bytes, ChildrenRow& row) {
  ByteReader reader(bytes);
  row.version = reader.read<uint64_t>();
  row.revision = Revision(reader.read<uint64_t>());
  row.numbered = reader.read<uint64_t>();
  row.emptied_ms = read_signed(reader);
  return whole(reader) && row.version > 0 && row.numbered <= row.version;
}

}  // namespace holdfast::tree
