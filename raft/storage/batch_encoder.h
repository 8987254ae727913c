// Lays a batch out in one aligned buffer, which is then written with one call. The buffer is kept:
// encoding an entry costs one copy and one hash.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "raft/core/ready.h"
#include "raft/storage/log_format.h"

namespace holdfast::raft {

/// Size of a batch before it is encoded: where it goes depends on it, and its checksums on where.
struct BatchSize {
  uint32_t records = 0;
  uint64_t bytes = align_up(record_bytes(kBatchHeadPayloadBytes), kSectorBytes);  ///< on disk

  void add_payload(uint64_t payload_bytes);
  static BatchSize of(std::span<const Write> writes);
  void add(const Write& write);
  /// What it takes of the room in hand at most, whatever it is merged with: if it does not fit into
  /// the rest of a segment, that rest is lost, which is less than the batch, and a segment's head
  /// comes with it.
  uint64_t room_bytes() const { return 2 * bytes + kSectorBytes; }

 private:
  uint64_t used_ = record_bytes(kBatchHeadPayloadBytes);
};

class BatchEncoder {
 public:
  /// Starts a batch for `offset` of a segment with this seed. With `head` the segment begins here:
  /// the head's sector comes first and `offset` is 0.
  void begin(const BatchSize& size, uint64_t seed, uint64_t offset, uint64_t batch, GroupId group,
             const SegmentHead* head);
  /// Returns the record's offset in the file.
  uint64_t add(uint8_t type, uint64_t index, uint64_t term, std::string_view payload);
  uint64_t add(const HardState& state);
  uint64_t add(const Entry& entry);
  /// The whole image, padded with zeros to a sector. Valid until the next begin().
  std::string_view finish();

 private:
  struct Free {
    void operator()(char* block) const;
  };
  void reserve(uint64_t bytes);

  std::unique_ptr<char, Free> buffer_;
  uint64_t capacity_ = 0;
  uint64_t size_ = 0;  ///< of the image
  uint64_t used_ = 0;
  uint64_t offset_ = 0;  ///< of the image in the file
  uint64_t seed_ = 0;
  uint64_t batch_ = 0;
  uint64_t group_ = 0;
  uint32_t records_left_ = 0;
};

}  // namespace holdfast::raft
