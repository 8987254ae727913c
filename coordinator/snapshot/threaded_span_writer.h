// The snapshot's writer in production: the disk is waited for on a thread of its own.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "coordinator/snapshot/paced_vfs.h"
#include "coordinator/snapshot/span_writer.h"

namespace holdfast::snapshot {

/// One thread of low priority.
class ThreadedSpanWriter final : public SpanWriter {
 public:
  using Notify = std::function<void()>;
  /// `notify` runs on that thread when collect() has something, or moved() is true: it posts a
  /// wake-up to the loop.
  /// `store` outlives the writer and is used by nobody else; `pace` is that of its VFS, null if it
  /// has none.
  ThreadedSpanWriter(SnapshotStore& store, Notify notify, Pace* pace = nullptr);
  /// Ends after the span under way, if the disk has room for it.
  ~ThreadedSpanWriter() override;

  void submit(Span span) override;
  std::optional<Result<WrittenSpan>> collect() override;
  std::optional<Error> obstacle() const override;
  std::optional<Span> recall() override;
  void hurry(bool urgent) override;
  void look() override;
  bool moved() const override;

 private:
  void run();
  void look_for_it(std::unique_lock<std::mutex>& lock);
  void write_until_done(Span& span);

  SnapshotStore& store_;
  const Notify notify_;
  Pace* const pace_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::optional<Span> waiting_;
  std::optional<Result<WrittenSpan>> outcome_;
  std::optional<Error> obstacle_;
  Span* held_up_ = nullptr;  ///< waits to be tried again
  bool to_look_ = false;
  bool moved_ = false;
  bool closed_ = false;
  std::thread thread_;
};

}  // namespace holdfast::snapshot
