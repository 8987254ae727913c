// The log's bytes: records, segment heads, names. docs/log-format.md describes them and argues why
// recovery is right; this header is the same thing as code.
//
// A segment file is a head of one sector and then batches, each on a sector boundary. Everything is
// made of records, and every record's checksum is seeded by the log's salt, the segment's number
// and the record's own offset: bytes of another log, of a recycled segment's former life or of a
// misplaced write never verify.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "raft/core/types.h"

namespace holdfast::raft {

inline constexpr uint64_t kSectorBytes = 512;
inline constexpr uint64_t kRecordHeadBytes = 48;
inline constexpr uint64_t kBatchHeadPayloadBytes = 16;
inline constexpr uint32_t kLogVersion = 1;
/// Longest payload of a record; a longer length on disk is not believed.
inline constexpr uint64_t kRecordPayloadBytesMax = 64 << 20;
/// Indexes, terms and the numbers of segments and batches stay below this: what claims more was
/// never written, and no arithmetic on what is read can wrap.
inline constexpr uint64_t kLogOrdinalMax = uint64_t{1} << 53;
/// The first batch of a segment stands behind its head.
inline constexpr uint64_t kFirstBatchOffset = kSectorBytes;

constexpr uint64_t align_up(uint64_t value, uint64_t unit) {
  return (value + unit - 1) / unit * unit;
}
/// Bytes that a record with this payload takes in a batch.
constexpr uint64_t record_bytes(uint64_t payload) {
  return align_up(kRecordHeadBytes + payload, 8);
}

enum class RecordType : uint8_t {
  kSegmentHead = 1,
  kBatchHead = 2,
  kHardState = 3,  ///< term in `term`, vote in `index`
  kEntry = 16,     ///< plus the EntryType
};

constexpr bool is_entry(uint8_t record_type) {
  return record_type >= static_cast<uint8_t>(RecordType::kEntry) &&
         record_type <=
             static_cast<uint8_t>(RecordType::kEntry) + static_cast<uint8_t>(EntryType::kGenesis);
}
constexpr uint8_t record_type_of(EntryType type) {
  return static_cast<uint8_t>(static_cast<uint8_t>(RecordType::kEntry) +
                              static_cast<uint8_t>(type));
}
constexpr EntryType entry_type_of(uint8_t record_type) {
  return static_cast<EntryType>(record_type - static_cast<uint8_t>(RecordType::kEntry));
}
/// "hard-state", "command", ... for people.
const char* record_type_name(uint8_t record_type);

/// A record as found; `payload` points into the bytes it was decoded from.
struct Record {
  uint64_t offset = 0;  ///< in the file
  uint64_t bytes = 0;   ///< with head and padding
  uint8_t type = 0;
  uint64_t batch = 0;  ///< number of the batch it belongs to
  uint64_t group = 0;
  uint64_t index = 0;
  uint64_t term = 0;
  std::string_view payload;

  bool is(RecordType wanted) const { return type == static_cast<uint8_t>(wanted); }
};

/// An entry by index and term: what a log begins behind, where a snapshot stands. Index 0: none.
struct LogPoint {
  LogIndex index;
  Term term;
  friend bool operator==(const LogPoint&, const LogPoint&) = default;
};

/// What the log says at some point of it.
struct LogTail {
  HardState hard_state;
  LogIndex last_index;
  Term last_term;

  /// Takes up a hard state or an entry. If that cannot stand here, says why and changes nothing.
  std::optional<std::string> advance(const Record& record);
  LogPoint last() const { return {last_index, last_term}; }
  friend bool operator==(const LogTail&, const LogTail&) = default;
};

/// The first sector of a segment.
struct SegmentHead {
  uint32_t version = kLogVersion;
  uint64_t segment = 0;  ///< its number, from 1 on, never used twice in a directory
  StoreId store;
  GroupId group;
  uint64_t salt = 0;              ///< minted with the log; the same in all its segments
  uint64_t previous_segment = 0;  ///< where the log before this segment ends; 0 if it begins here
  uint64_t previous_end = 0;      ///< offset of that end
  uint64_t first_batch = 0;       ///< number of the batch behind this head
  LogTail tail;                   ///< in force before that batch
  friend bool operator==(const SegmentHead&, const SegmentHead&) = default;
};

/// Seed of all records of one segment, before their offset is added.
uint64_t segment_seed(uint64_t salt, uint64_t segment);

/// Writes the record at `at`, which has record_bytes(payload.size()) bytes, padding included.
void encode_record(char* at, uint64_t seed, const Record& record);
/// The record at `offset` of a file of which `window` is the part from `window_offset` on. Nothing
/// unless it lies within the window and verifies. Any bytes are safe to pass.
std::optional<Record> decode_record(std::string_view window, uint64_t window_offset,
                                    uint64_t offset, uint64_t seed);
/// What the record's head says, believed or not; for reading ahead. Nothing if the head is cut off
/// or its length is absurd.
std::optional<uint64_t> claimed_record_bytes(std::string_view bytes);

/// Writes kSectorBytes at `at`.
void encode_segment_head(char* at, const SegmentHead& head);
/// The head at the start of `file`, whatever its version; nothing if it does not verify.
std::optional<SegmentHead> decode_segment_head(std::string_view file);

/// Payload of a batch's head.
struct BatchHead {
  uint64_t bytes = 0;  ///< of the whole batch, a multiple of the sector
  uint32_t records = 0;
};
void encode_batch_head(char* payload, const BatchHead& head);
std::optional<BatchHead> decode_batch_head(const Record& record);

/// "0000000000000012.log"
std::string segment_file_name(uint64_t segment);
/// "0000000000000012.new": not yet part of the log.
std::string temporary_file_name(uint64_t segment);
/// The number of a segment or temporary name; nothing for other names.
std::optional<uint64_t> parse_segment_name(std::string_view name, std::string_view suffix);
inline constexpr std::string_view kSegmentSuffix = ".log";
inline constexpr std::string_view kTemporarySuffix = ".new";

}  // namespace holdfast::raft
