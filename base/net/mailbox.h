// Work that other threads hand to a loop. It outlives the loop for as long as anybody may still
// post: what comes too late is dropped. Used inside this folder.
#pragma once

#include <atomic>
#include <functional>
#include <mutex>
#include <vector>

namespace holdfast::net {

class Mailbox {
 public:
  Mailbox();
  ~Mailbox();
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  /// Any thread. Signals wake_fd() only if the loop sleeps.
  void post(std::function<void()> work);

  // The loop's side.
  int wake_fd() const { return wake_fd_; }
  /// For a loop that does not watch wake_fd() by its edges: forgets past signals. Before
  /// begin_sleep().
  void clear_signal();
  bool has_work() const { return has_work_.load(); }
  std::vector<std::function<void()>> take();
  /// Announces sleep; the loop must look at has_work() after that and before it sleeps.
  void begin_sleep() { sleeping_.store(true); }
  /// True if nobody signalled in between.
  bool end_sleep() { return sleeping_.exchange(false); }
  /// Drops what is queued and whatever is posted from now on.
  void close();

  /// Name look-ups running on threads of their own.
  std::atomic<int> lookups{0};

 private:
  int wake_fd_;
  std::atomic<bool> sleeping_{false};
  std::atomic<bool> has_work_{false};
  std::mutex mutex_;
  bool closed_ = false;
  std::vector<std::function<void()>> work_;
};

}  // namespace holdfast::net
