// The replicated state as rows: every change of state is written here as upserts and erasures of
// numbered rows, from which the whole state can be rebuilt, and whose hashes add up to its digest.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/checksum.h"

namespace holdfast {

/// The tables of the replicated state. The numbers enter the digest and are never reused. Rows are
/// loaded in ascending order of table and id, so a parent's table stands before its children's.
enum class RowTable : uint8_t {
  kMeta = 1,      ///< the state machine's own: applied revision, cluster time, feature level
  kSettings = 2,  ///< the replicated limits
  kSessions = 3,  ///< id = session id
  kResults = 4,   ///< kept results of commands (session/rows.h)
  kWindows = 5,   ///< acknowledged sequences; id = session id
  kLocks = 16,    ///< lockmgr/rows.h
  kLockHolders = 17,
  kLockWaiters = 18,
  kLockTenures = 19,
  kKeys = 32,  ///< coordinator/tree/rows.h
  kKeyChildren = 33,
};

/// Hash of one row: over its table, id and encoding, so equal contents elsewhere count differently.
Digest row_hash(RowTable table, uint64_t id, std::string_view row);

/// Row changes in the order made. One log serves all rooms of a state machine; its owner reads it
/// after an entry and clears it. Buffers are reused: in steady state writing allocates nothing.
/// One thread.
class RowLog {
 public:
  struct Change {
    RowTable table;
    uint64_t id;
    bool erased;
    std::string_view row;  ///< the encoding; empty if erased. Valid until the log is changed
  };

  /// Starts an upsert; the encoding follows through put*(), and finish() ends it.
  void begin(RowTable table, uint64_t id);
  void put8(uint8_t value) { append_le(bytes_, value); }
  void put32(uint32_t value) { append_le(bytes_, value); }
  void put64(uint64_t value) { append_le(bytes_, value); }
  void put_signed(int64_t value) { append_le(bytes_, static_cast<uint64_t>(value)); }
  /// 32-bit length, then the bytes.
  void put_bytes(std::string_view value);
  /// Ends the upsert and returns the row's hash (row_hash of it).
  Digest finish();

  void erase(RowTable table, uint64_t id);

  size_t size() const { return records_.size(); }
  bool empty() const { return records_.empty(); }
  Change operator[](size_t index) const;
  void clear();

 private:
  struct Record {
    uint64_t id;
    uint64_t offset;  ///< of the record's bytes: table, id, encoding
    RowTable table;
    bool erased;
  };
  uint64_t end_of(size_t index) const;

  std::vector<Record> records_;
  std::string bytes_;
};

}  // namespace holdfast
