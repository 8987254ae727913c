#include "raft/storage/batch_encoder.h"

#include <array>
#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace holdfast::raft {
namespace {

constexpr uint64_t kBufferAlignment = 4096;
/// A buffer that one huge entry has blown up is given back afterwards.
constexpr uint64_t kBufferBytesKept = 16 << 20;

}  // namespace

void BatchSize::add_payload(uint64_t payload_bytes) {
  ++records;
  used_ += record_bytes(payload_bytes);
  bytes = align_up(used_, kSectorBytes);
}

BatchSize BatchSize::of(std::span<const Write> writes) {
  BatchSize size;
  for (const Write& write : writes) size.add(write);
  return size;
}

void BatchSize::add(const Write& write) {
  if (write.hard_state) add_payload(0);
  for (const Entry& entry : write.entries) add_payload(entry.data.size());
}

void BatchEncoder::Free::operator()(char* block) const { std::free(block); }

void BatchEncoder::reserve(uint64_t bytes) {
  const bool oversized = capacity_ > kBufferBytesKept && bytes <= kBufferBytesKept;
  if (bytes <= capacity_ && !oversized) return;
  capacity_ = align_up(bytes + bytes / 2, kBufferAlignment);
  buffer_.reset();
  buffer_.reset(static_cast<char*>(std::aligned_alloc(kBufferAlignment, capacity_)));
  HF_CHECK(buffer_ != nullptr, "out of memory for the log's write buffer");
}

void BatchEncoder::begin(const BatchSize& size, uint64_t seed, uint64_t offset, uint64_t batch,
                         GroupId group, const SegmentHead* head) {
  HF_CHECK(offset % kSectorBytes == 0, "batch off the sector boundary");
  HF_CHECK(head == nullptr || offset == 0, "a segment's head stands at its start");
  const uint64_t head_bytes = head == nullptr ? 0 : kSectorBytes;
  size_ = head_bytes + size.bytes;
  reserve(size_);
  used_ = head_bytes;
  offset_ = offset;
  seed_ = seed;
  batch_ = batch;
  group_ = group.value;
  if (head != nullptr) encode_segment_head(buffer_.get(), *head);
  std::array<char, kBatchHeadPayloadBytes> payload;
  encode_batch_head(payload.data(), {size.bytes, size.records});
  records_left_ = size.records + 1;
  add(static_cast<uint8_t>(RecordType::kBatchHead), 0, 0, {payload.data(), payload.size()});
}

uint64_t BatchEncoder::add(uint8_t type, uint64_t index, uint64_t term, std::string_view payload) {
  HF_CHECK(records_left_ > 0 && used_ + record_bytes(payload.size()) <= size_,
           "batch larger than announced");
  HF_CHECK(payload.size() <= kRecordPayloadBytesMax, "payload over the record limit");
  Record record;
  record.offset = offset_ + used_;
  record.type = type;
  record.batch = batch_;
  record.group = group_;
  record.index = index;
  record.term = term;
  record.payload = payload;
  encode_record(buffer_.get() + used_, seed_, record);
  used_ += record_bytes(payload.size());
  --records_left_;
  return record.offset;
}

uint64_t BatchEncoder::add(const HardState& state) {
  return add(static_cast<uint8_t>(RecordType::kHardState), state.vote.value, state.term.value, {});
}

uint64_t BatchEncoder::add(const Entry& entry) {
  return add(record_type_of(entry.type), entry.index.value, entry.term.value, entry.data.view());
}

std::string_view BatchEncoder::finish() {
  HF_CHECK(records_left_ == 0 && size_ - used_ < kSectorBytes, "batch smaller than announced");
  std::memset(buffer_.get() + used_, 0, size_ - used_);
  return {buffer_.get(), size_};
}

}  // namespace holdfast::raft
