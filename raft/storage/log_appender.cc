#include "raft/storage/log_appender.h"

#include "base/check.h"

namespace holdfast::raft {

LogAppender::LogAppender(LogIdentity identity, uint64_t segment_bytes, Position position,
                         SegmentPreparer& preparer)
    : identity_(identity),
      segment_bytes_(segment_bytes),
      at_(std::move(position)),
      preparer_(preparer),
      bytes_left_(segment_bytes > at_.offset ? segment_bytes - at_.offset : 0) {}

Result<AppendedBatch> LogAppender::fail(Error error) {
  failure_ = std::move(error);
  return *failure_;
}

Result<AppendedBatch> LogAppender::append(std::span<const Write> writes) {
  if (failure_) return *failure_;
  if (preparer_.failed()) return fail(preparer_.failure().to_error());
  AppendedBatch batch;
  if (!writes.empty()) batch.write_number = writes.back().number;
  const BatchSize size = BatchSize::of(writes);
  if (size.records == 0) return batch;
  if (const IoStatus begun = begin_batch(size); !begun) {
    return begun.error().out_of_space() ? begun.error().to_error() : fail(begun.error().to_error());
  }
  if (const IoStatus done = write_batch(writes, size, batch); !done) {
    return fail(done.error().to_error());
  }
  return batch;
}

IoStatus LogAppender::write_batch(std::span<const Write> writes, const BatchSize& size,
                                  AppendedBatch& batch) {
  batch.segment = at_.segment;
  batch.entries.reserve(size.records);
  for (const Write& write : writes) encode(write, batch);
  const std::string_view image = encoder_.finish();
  File& file = *at_.segment->file;
  if (auto done = file.write(at_.offset, image); !done) return done;
  if (auto done = file.sync(); !done) return done;
  at_.offset += image.size();
  batch.end = at_.offset;
  ++at_.next_batch;
  bytes_left_.store(segment_bytes_ > at_.offset ? segment_bytes_ - at_.offset : 0,
                    std::memory_order_release);
  return io_ok();
}

// A batch that does not fit goes to the next segment, whose head it carries with it: head and
// batch are one write.
IoStatus LogAppender::begin_batch(const BatchSize& size) {
  if (at_.offset + size.bytes <= segment_bytes_) {
    encoder_.begin(size, at_.segment->seed, at_.offset, at_.next_batch, identity_.group, nullptr);
    return io_ok();
  }
  auto next = next_segment(kSectorBytes + size.bytes);
  if (!next) return next.error();
  const SegmentHead head{kLogVersion,     next->number,   identity_.store,
                         identity_.group, identity_.salt, at_.segment->number,
                         at_.offset,      at_.next_batch, at_.tail};
  const uint64_t seed = segment_seed(identity_.salt, next->number);
  at_.segment =
      std::make_shared<Segment>(Segment{next->number, seed, std::move(next->path),
                                        std::move(next->file), at_.tail.last(), next->bytes});
  at_.offset = 0;
  encoder_.begin(size, seed, 0, at_.next_batch, identity_.group, &head);
  return io_ok();
}

// What exceeds even an empty segment extends that segment's file, before anything of the log is
// written: a full disk may refuse that, and then nothing has happened.
IoResult<PreparedSegment> LogAppender::next_segment(uint64_t bytes) {
  auto next = preparer_.take();
  if (!next || bytes <= next->bytes) return next;
  const IoStatus extended = next->file->zero_fill(next->bytes, bytes - next->bytes);
  if (extended) {
    next->bytes = bytes;
    return next;
  }
  if (!extended.error().out_of_space()) return extended.error();
  if (auto cut = next->file->truncate(next->bytes); !cut) return cut.error();
  preparer_.put_back(std::move(*next));
  return extended.error();
}

// The hard state comes first: no entry of a term stands before the term itself.
void LogAppender::encode(const Write& write, AppendedBatch& batch) {
  if (write.hard_state) {
    advance(*write.hard_state);
    encoder_.add(*write.hard_state);
  }
  for (const Entry& entry : write.entries) {
    advance(entry);
    batch.entries.push_back({entry.index, entry.term, encoder_.add(entry)});
  }
}

void LogAppender::advance(const HardState& state) {
  HF_CHECK(state.term >= at_.tail.hard_state.term, "the term goes back");
  at_.tail.hard_state = state;
}

void LogAppender::advance(const Entry& entry) {
  HF_CHECK(entry.index && entry.index <= at_.tail.last_index.next(), "gap in the log");
  HF_CHECK(entry.index <= at_.tail.last_index || entry.term >= at_.tail.last_term,
           "an entry's term is below that of the one before it");
  at_.tail.last_index = entry.index;
  at_.tail.last_term = entry.term;
}

// In this order: a segment that is begun meanwhile is missing from the second before it is in the
// first, so that nothing is counted twice.
uint64_t LogAppender::bytes_ahead() const {
  const uint64_t left = bytes_left_.load(std::memory_order_acquire);
  return left + preparer_.ready() * segment_bytes_;
}

}  // namespace holdfast::raft
