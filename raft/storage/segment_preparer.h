// Has the next segments' files ready before they are needed: recycled files under new names, or new
// ones filled with zeros in bounded steps, so that no large sync stands in front of the log's. More
// than one is the log's reserve for when the disk is full (PROMISE 12).
// Removes the segments that were cut off the log: what they held is in a snapshot.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "raft/storage/file_system.h"
#include "raft/storage/log_positions.h"

namespace holdfast::raft {

/// A file of the log's directory, durable under its name, that holds no part of the log yet.
struct PreparedSegment {
  uint64_t number = 0;
  std::string path;
  std::unique_ptr<File> file;
  uint64_t bytes = 0;
};

/// Thread-safe. step() is driven by a thread of its own or by a simulator; take() by the sync
/// thread; retire() by the loop thread. Nothing but step() and take() waits for the disk.
class SegmentPreparer {
 public:
  enum class Step {
    kWorked,      ///< there may be more to do
    kIdle,        ///< all segments are ready, and none is to be removed
    kOutOfSpace,  ///< the disk is full; what was begun is given back. Try again later
    kFailed,      ///< see failure()
  };

  /// `spares` are names of files in `directory` that may be reused: none holds a part of the log.
  /// `ahead` segments are kept ready.
  SegmentPreparer(FileSystem& files, std::string directory, uint64_t segment_bytes, size_t ahead,
                  uint64_t next_number, std::vector<std::string> spares);

  /// One bounded piece of work.
  Step step();
  /// These segments, oldest first, are no part of the log any more: step() removes them, one at a
  /// time and in this order. A later segment's head must be on disk.
  void retire(std::vector<SegmentRef> segments);
  /// The next segment; if it is not ready the caller waits for the disk. An error of a full disk
  /// changes nothing: try again later.
  IoResult<PreparedSegment> take();
  /// What was taken last, untouched: the disk has no room for what was to go into it.
  void put_back(PreparedSegment segment);
  /// After either, blocks until there is reason to try again: a segment is ready, a while has
  /// passed since one was put back, the preparer has failed, or close() was called.
  void wait_for_segment();
  /// A step failed, other than for want of space: the log must not go on. Never waits for the disk.
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  /// Only if failed().
  IoError failure() const;
  /// True if the last attempt found the disk full. Never waits for the disk.
  bool out_of_space() const { return out_of_space_.load(std::memory_order_relaxed); }
  /// How many calls of take() would be served at once. Never waits for the disk.
  size_t ready() const { return ready_count_.load(std::memory_order_relaxed); }
  size_t ahead() const { return ahead_; }
  uint64_t segment_bytes() const { return segment_bytes_; }

  /// For the thread that calls step(): blocks until there is work (true) or close() (false). After
  /// kOutOfSpace there is work again when retry() or take() was called.
  bool wait_for_work();
  /// What wait_for_work() waits for.
  bool has_work() const;
  void retry();
  void close();
  /// After close(): another thread calls step() from now on.
  void reopen();
  /// Asked before a new file of so many bytes is begun, by whichever thread needs it; if not, the
  /// disk counts as full. Empty: always. Must not call the preparer but for ready() and the like.
  using Permit = std::function<bool(uint64_t bytes)>;
  void set_permit(Permit permit);

  /// Zeros written and synced in one step: a sync of the log waits for it, and so does whoever
  /// needs its processor.
  static constexpr uint64_t kStepBytes = 128 << 10;
  /// Files kept for reuse besides those that are ready: most of what a snapshot lets go at a time.
  static constexpr size_t kSparesMax = 3;
  /// After a segment was put back: room on a disk tells nobody of itself.
  static constexpr Duration kPutBackFor = 1s;

 private:
  Step step_locked();
  bool has_work_locked() const;
  IoStatus advance();
  IoStatus fill();
  IoStatus publish_name(const std::string& from);
  Step fail(const IoError& error);
  IoStatus give_back();
  SegmentRef next_retired();
  Step remove(SegmentRef segment);
  bool may_recycle(const SegmentRef& segment);
  void pause(bool paused);
  std::string path_of(const std::string& name) const { return directory_ + "/" + name; }

  FileSystem& files_;
  const std::string directory_;
  const uint64_t segment_bytes_;
  const size_t ahead_;

  mutable std::mutex mutex_;  ///< held while the disk works; before the other
  uint64_t number_;           ///< of the segment in preparation, above those that are ready
  std::vector<std::string> spares_;
  Permit permit_;
  std::unique_ptr<File> filling_;
  uint64_t filled_ = 0;
  bool naming_ = false;                ///< a rename is done and not durable yet
  std::deque<PreparedSegment> ready_;  ///< oldest first, at most `ahead_`
  std::optional<IoError> failure_;
  std::atomic<size_t> ready_count_ = 0;
  std::atomic<bool> failed_ = false;
  std::atomic<bool> out_of_space_ = false;

  mutable std::mutex signal_mutex_;  ///< of what follows; never held while the disk works
  std::condition_variable work_;
  std::condition_variable segment_;
  std::deque<SegmentRef> retired_;
  bool paused_ = false;
  bool put_back_ = false;
  bool closed_ = false;
};

}  // namespace holdfast::raft
