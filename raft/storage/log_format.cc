#include "raft/storage/log_format.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/bytes.h"
#include "base/checksum.h"

namespace holdfast::raft {
namespace {

constexpr uint64_t kMagic = 0x474f4c5453464c48;  // "HLFSTLOG" in the file
constexpr size_t kHeadPayloadBytes = 96;
constexpr size_t kNameDigits = 16;

// Offsets in a record's head.
constexpr size_t kAtLength = 8, kAtType = 12, kAtBatch = 16, kAtGroup = 24, kAtIndex = 32,
                 kAtTerm = 40;
// Offsets in the payload of a segment's head.
constexpr size_t kAtMagic = 0, kAtVersion = 8, kAtSegment = 16, kAtStore = 24, kAtSalt = 32,
                 kAtPreviousSegment = 40, kAtPreviousEnd = 48, kAtHardTerm = 56, kAtVote = 64,
                 kAtLastIndex = 72, kAtLastTerm = 80;

uint64_t get(std::string_view payload, size_t at) { return load_le<uint64_t>(payload.data() + at); }

std::optional<std::string> advance_hard_state(LogTail& tail, Term term, NodeId vote) {
  const HardState& now = tail.hard_state;
  if (term < now.term) {
    return "term goes back from " + std::to_string(now.term.value) + " to " +
           std::to_string(term.value);
  }
  if (term == now.term && now.vote && vote != now.vote) {
    return "vote in term " + std::to_string(term.value) + " changes from " +
           std::to_string(now.vote.value) + " to " + std::to_string(vote.value);
  }
  tail.hard_state = {term, vote};
  return std::nullopt;
}

std::optional<std::string> advance_entry(LogTail& tail, LogIndex index, Term term) {
  if (!index || index > tail.last_index.next()) {
    return "entry " + std::to_string(index.value) + " follows entry " +
           std::to_string(tail.last_index.value);
  }
  if (index == tail.last_index.next() && term < tail.last_term) {
    return "entry " + std::to_string(index.value) + " of term " + std::to_string(term.value) +
           " follows one of term " + std::to_string(tail.last_term.value);
  }
  tail.last_index = index;
  tail.last_term = term;
  return std::nullopt;
}

}  // namespace

const char* record_type_name(uint8_t record_type) {
  if (is_entry(record_type)) {
    static constexpr std::array kNames = {"noop", "command", "configuration", "genesis"};
    return kNames[static_cast<size_t>(entry_type_of(record_type))];
  }
  switch (static_cast<RecordType>(record_type)) {
    case RecordType::kSegmentHead:
      return "segment-head";
    case RecordType::kBatchHead:
      return "batch-head";
    case RecordType::kHardState:
      return "hard-state";
    default:
      return "unknown";
  }
}

std::optional<std::string> LogTail::advance(const Record& record) {
  const uint64_t highest = std::max(record.index, record.term);
  if (highest >= kLogOrdinalMax) {
    return "number " + std::to_string(highest) + " is beyond " + std::to_string(kLogOrdinalMax);
  }
  if (record.is(RecordType::kHardState)) {
    return advance_hard_state(*this, Term(record.term), NodeId(record.index));
  }
  if (is_entry(record.type)) {
    return advance_entry(*this, LogIndex(record.index), Term(record.term));
  }
  return "record type " + std::to_string(record.type) + " does not belong in a batch";
}

uint64_t segment_seed(uint64_t salt, uint64_t segment) {
  std::array<char, 8> number;
  store_le(number.data(), segment);
  return checksum64({number.data(), number.size()}, salt);
}

void encode_record(char* at, uint64_t seed, const Record& record) {
  const size_t length = record.payload.size();
  store_le(at + kAtLength, static_cast<uint32_t>(length));
  store_le(at + kAtType, static_cast<uint32_t>(record.type));
  store_le(at + kAtBatch, record.batch);
  store_le(at + kAtGroup, record.group);
  store_le(at + kAtIndex, record.index);
  store_le(at + kAtTerm, record.term);
  if (length > 0) std::memcpy(at + kRecordHeadBytes, record.payload.data(), length);
  const size_t used = kRecordHeadBytes + length;
  std::memset(at + used, 0, record_bytes(length) - used);
  store_le(at, checksum64({at + kAtLength, used - kAtLength}, seed + record.offset));
}

std::optional<uint64_t> claimed_record_bytes(std::string_view bytes) {
  if (bytes.size() < kRecordHeadBytes) return std::nullopt;
  const auto length = load_le<uint32_t>(bytes.data() + kAtLength);
  if (length > kRecordPayloadBytesMax) return std::nullopt;
  return record_bytes(length);
}

namespace {

bool all_zero(const char* from, const char* to) {
  for (; from != to; ++from) {
    if (*from != 0) return false;
  }
  return true;
}

}  // namespace

std::optional<Record> decode_record(std::string_view window, uint64_t window_offset,
                                    uint64_t offset, uint64_t seed) {
  if (offset < window_offset || offset - window_offset > window.size()) return std::nullopt;
  const std::string_view rest = window.substr(offset - window_offset);
  const auto bytes = claimed_record_bytes(rest);
  if (!bytes || *bytes > rest.size()) return std::nullopt;
  const char* at = rest.data();
  const auto length = load_le<uint32_t>(at + kAtLength);
  const size_t used = kRecordHeadBytes + length;
  // The padding is not under the checksum, so it is compared.
  if (load_le<uint64_t>(at) != checksum64({at + kAtLength, used - kAtLength}, seed + offset) ||
      !all_zero(at + used, at + *bytes)) {
    return std::nullopt;
  }
  const auto type = load_le<uint32_t>(at + kAtType);
  if (type > 255) return std::nullopt;
  Record record;
  record.offset = offset;
  record.bytes = *bytes;
  record.type = static_cast<uint8_t>(type);
  record.batch = load_le<uint64_t>(at + kAtBatch);
  record.group = load_le<uint64_t>(at + kAtGroup);
  record.index = load_le<uint64_t>(at + kAtIndex);
  record.term = load_le<uint64_t>(at + kAtTerm);
  record.payload = rest.substr(kRecordHeadBytes, length);
  return record;
}

void encode_segment_head(char* at, const SegmentHead& head) {
  std::array<char, kHeadPayloadBytes> payload{};
  char* const p = payload.data();
  store_le(p + kAtMagic, kMagic);
  store_le(p + kAtVersion, uint64_t{head.version});
  store_le(p + kAtSegment, head.segment);
  store_le(p + kAtStore, head.store.value);
  store_le(p + kAtSalt, head.salt);
  store_le(p + kAtPreviousSegment, head.previous_segment);
  store_le(p + kAtPreviousEnd, head.previous_end);
  store_le(p + kAtHardTerm, head.tail.hard_state.term.value);
  store_le(p + kAtVote, head.tail.hard_state.vote.value);
  store_le(p + kAtLastIndex, head.tail.last_index.value);
  store_le(p + kAtLastTerm, head.tail.last_term.value);
  std::memset(at, 0, kSectorBytes);
  Record record;
  record.type = static_cast<uint8_t>(RecordType::kSegmentHead);
  record.batch = head.first_batch;
  record.group = head.group.value;
  record.payload = {payload.data(), payload.size()};
  encode_record(at, segment_seed(head.salt, head.segment), record);
}

std::optional<SegmentHead> decode_segment_head(std::string_view file) {
  if (file.size() < kSectorBytes) return std::nullopt;
  const std::string_view sector = file.substr(0, kSectorBytes);
  const std::string_view claimed = sector.substr(kRecordHeadBytes, kHeadPayloadBytes);
  if (get(claimed, kAtMagic) != kMagic) return std::nullopt;
  const uint64_t seed = segment_seed(get(claimed, kAtSalt), get(claimed, kAtSegment));
  const auto record = decode_record(sector, 0, 0, seed);
  if (!record || !record->is(RecordType::kSegmentHead) ||
      record->payload.size() != kHeadPayloadBytes ||
      !all_zero(sector.data() + record->bytes, sector.data() + kSectorBytes)) {
    return std::nullopt;
  }
  SegmentHead head;
  const std::string_view p = record->payload;
  head.version = static_cast<uint32_t>(get(p, kAtVersion));
  head.segment = get(p, kAtSegment);
  head.store = StoreId(get(p, kAtStore));
  head.group = GroupId(record->group);
  head.salt = get(p, kAtSalt);
  head.previous_segment = get(p, kAtPreviousSegment);
  head.previous_end = get(p, kAtPreviousEnd);
  head.first_batch = record->batch;
  head.tail.hard_state = {Term(get(p, kAtHardTerm)), NodeId(get(p, kAtVote))};
  head.tail.last_index = LogIndex(get(p, kAtLastIndex));
  head.tail.last_term = Term(get(p, kAtLastTerm));
  const uint64_t highest = std::max({head.segment, head.first_batch, head.previous_segment,
                                     head.tail.hard_state.term.value, head.tail.last_index.value,
                                     head.tail.last_term.value});
  if (highest >= kLogOrdinalMax) return std::nullopt;
  return head;
}

void encode_batch_head(char* payload, const BatchHead& head) {
  store_le(payload, head.bytes);
  store_le(payload + 8, uint64_t{head.records});
}

std::optional<BatchHead> decode_batch_head(const Record& record) {
  if (!record.is(RecordType::kBatchHead) || record.payload.size() != kBatchHeadPayloadBytes) {
    return std::nullopt;
  }
  const BatchHead head{get(record.payload, 0), static_cast<uint32_t>(get(record.payload, 8))};
  if (head.bytes == 0 || head.bytes % kSectorBytes != 0 || head.bytes >= kLogOrdinalMax) {
    return std::nullopt;
  }
  return head;
}

namespace {

std::string numbered_name(uint64_t number, std::string_view suffix) {
  std::string digits = std::to_string(number);
  if (digits.size() < kNameDigits) digits.insert(0, kNameDigits - digits.size(), '0');
  return digits.append(suffix);
}

}  // namespace

std::string segment_file_name(uint64_t segment) { return numbered_name(segment, kSegmentSuffix); }

std::string temporary_file_name(uint64_t segment) {
  return numbered_name(segment, kTemporarySuffix);
}

std::optional<uint64_t> parse_segment_name(std::string_view name, std::string_view suffix) {
  if (!name.ends_with(suffix)) return std::nullopt;
  name.remove_suffix(suffix.size());
  uint64_t number = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (failure != std::errc() || end != name.data() + name.size() || number == 0 ||
      number >= kLogOrdinalMax) {
    return std::nullopt;
  }
  if (numbered_name(number, suffix).size() != name.size() + suffix.size()) return std::nullopt;
  return number;
}

}  // namespace holdfast::raft
