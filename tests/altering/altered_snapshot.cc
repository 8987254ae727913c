#include "tests/altering/altered_snapshot.h"

#include "base/check.h"

namespace holdfast::altering {

Result<bool> alter(snapshot::SnapshotStore& store, const RowChange& change) {
  RowLog changed;
  Digest before;
  Digest after;
  const auto head = store.load(
      [&](RowTable table, uint64_t id, std::string_view row) {
        if (!changed.empty()) return ok_status();
        const auto other = change(table, id, row);
        if (!other) return ok_status();
        before = row_hash(table, id, row);
        changed.begin(table, id);
        for (const char byte : *other) changed.put8(static_cast<uint8_t>(byte));
        after = changed.finish();
        return ok_status();
      },
      [](uint64_t) {});
  if (!head.ok()) return head.error();
  if (changed.empty()) return false;
  snapshot::Span span;
  span.rows.add(changed);
  span.head = *head;
  span.head.digest.subtract(before);
  span.head.digest.add(after);
  const auto written = store.write(span);
  if (!written.ok()) return written.error();
  return true;
}

RowChange replacing(const std::string& from, const std::string& to) {
  HF_CHECK(from.size() == to.size(), "as many bytes as they replace");
  return [from, to](RowTable, uint64_t, std::string_view row) -> std::optional<std::string> {
    const size_t at = row.find(from);
    if (at == std::string_view::npos) return std::nullopt;
    std::string other(row);
    other.replace(at, from.size(), to);
    return other;
  };
}

}  // namespace holdfast::altering
