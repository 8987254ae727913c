// The event loop: one thread that sleeps in one poll, handles what is ready, and then closes the
// turn. A turn is the batch (ARCHITECTURE, Batching):
//
//   1. one poll; sockets are read until all ready bytes are handled or the read budget is spent;
//   2. timers that are due, then functions posted by other threads;
//   3. the end-of-turn hooks, in their order (propose once, handle Ready, answer);
//   4. every connection that has output sends it, with one send() each.
//
// Everything here belongs to the loop's thread except post() and stop(). libevent is an
// implementation detail of this folder.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/net/input_mark.h"

struct event_base;

namespace holdfast::net {

class FdEvent;
class FrameConnection;
class Mailbox;
class TimerQueue;

struct LoopOptions {
  /// How long a turn handles ready sockets before the hooks run; what is left waits for the next.
  Duration read_budget = 1ms;
  /// Shorter interruptions of turning are not reported to on_gap.
  Duration gap_threshold = 50ms;
  /// Size of the one buffer all connections read into.
  size_t read_buffer_bytes = 256 << 10;
};

/// Counted by the loop's thread; read it there.
struct LoopStats {
  uint64_t turns = 0;
  uint64_t receives = 0;             ///< recv() calls
  uint64_t sends = 0;                ///< send() calls
  uint64_t posts = 0;                ///< functions run for other threads
  uint64_t wakeups = 0;              ///< of those, how often a sleeping loop had to be signalled
  uint64_t gaps = 0;                 ///< interruptions reported to on_gap
  Duration gap_total{0};             ///< their sum
  DurationHistogram turn_durations;  ///< without the sleep
  uint64_t bytes_received = 0;       ///< by framed connections
  uint64_t bytes_sent = 0;
};

class Loop {
 public:
  /// Keeps a registered function alive; dropping it unregisters, also from inside the function.
  class [[nodiscard]] Hook {
   public:
    Hook() = default;
    Hook(Hook&&) = default;
    Hook& operator=(Hook&& other) noexcept;
    ~Hook();

   private:
    friend class Loop;
    struct Entry;
    explicit Hook(std::shared_ptr<Entry> entry) : entry_(std::move(entry)) {}
    std::shared_ptr<Entry> entry_;
  };

  /// `clock` must outlive the loop.
  explicit Loop(Clock& clock, LoopOptions options = {});
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// Turns until stop(); the turn in which stop() is seen is finished, output sent included.
  void run();
  /// One turn that sleeps at most `max_wait` (0 polls).
  void turn(Duration max_wait);
  /// Any thread. run() returns after the turn in progress.
  void stop();
  /// Any thread: runs `work` on the loop's thread, in order of posting. Signals the loop only if it
  /// sleeps. Work still queued when the loop is destroyed is dropped unrun.
  void post(std::function<void()> work);
  /// Any time but while another thread turns the loop: what posted work needs though its owner may
  /// be gone. It lives as long as the loop.
  void keep(std::shared_ptr<void> thing) { kept_.push_back(std::move(thing)); }

  /// At the end of every turn, lower `order` first, equal ones in order of registration.
  Hook on_turn_end(int order, std::function<void()> hook);
  /// Called with the length of an interruption longer than gap_threshold: the loop was not turning
  /// (process stopped, machine suspended, one callback took too long). It is called before anything
  /// that came in is handled and again before hooks run and output is sent, so a leader can drop
  /// its leadership before it answers. Sleeping until the earliest timer is no interruption, so the
  /// measure is as fine as the shortest timer armed.
  Hook on_gap(std::function<void(Duration)> hook);

  /// The next turn polls without sleeping: a hook that did a bounded part of its work calls this.
  void again() { again_ = true; }
  /// Boot-time instant of the latest clock reading of this turn; saves a system call.
  Instant now() const { return now_; }
  Clock& clock() { return clock_; }
  /// True in hooks if input that was there before this turn's poll may be unread: the budget ended
  /// first, a connection is new, input is held. Whoever decides that something did NOT arrive in
  /// time must wait for a turn where this is false.
  bool input_left() const { return input_left_; }
  /// What had arrived by then is handled. This turn's poll, unless input is left: then it comes to
  /// a moment only if that is asked for.
  Instant handled_until() const { return input_left_ ? mark_.reached() : polled_at_; }
  /// handled_until() shall reach this moment soon. Looks at every connection once in a while.
  void ask_handled_until(Instant moment) { mark_.ask(moment); }
  /// A moment before this turn's poll: what had arrived by then is handled, unless input_left().
  Instant polled_at() const { return polled_at_; }
  /// Ends this turn's reading; what is ready and not read waits for the next turn.
  void end_reading();
  /// While held, turns read nothing and accept nothing: they only run timers and posted functions
  /// and send. For who has no room for more input; whoever makes room posts.
  void hold_input(bool held) { input_held_ = held; }
  const LoopStats& stats() const { return stats_; }

 private:
  friend class FdEvent;
  friend class FrameConnection;
  friend class HttpServer;
  friend class Listener;
  friend class Timer;

  // What FdEvent and FrameConnection use.
  void enter_callback();  ///< first thing in every libevent callback
  /// A descriptor joined the poll after it began: its input is not handled in this turn.
  void expect_input() { input_left_ = true; }
  bool budget_spent();  ///< after a read: ends the poll phase when the budget is used up
  char* read_buffer() { return read_buffer_.get(); }
  size_t read_buffer_bytes() const { return options_.read_buffer_bytes; }
  std::string take_buffer();
  void give_buffer(std::string&& buffer);
  void mark_dirty(FrameConnection* connection, bool goes_first);
  void forget_dirty(FrameConnection* connection);
  void defer(FrameConnection* connection);
  void forget_deferred(FrameConnection* connection);
  void add_first(FrameConnection* connection) { first_.push_back(connection); }
  void forget_first(FrameConnection* connection);

  void poll(Instant wake_at);
  void look_at_sockets(bool sleep);
  void sleep_held();
  void arm_timer_fd(Instant wake_at);
  void pulse();
  void run_posted();
  void run_hooks();
  void read_first();
  void run_deferred();
  void flush_dirty();
  static void flush(FrameConnection*& place);
  bool must_not_sleep();

  InputMark mark_;  ///< what is read refers to it
  Clock& clock_;
  const LoopOptions options_;
  LoopStats stats_;
  event_base* base_ = nullptr;
  std::shared_ptr<Mailbox> mailbox_;
  int timer_fd_ = -1;
  std::unique_ptr<FdEvent> wake_event_;
  std::unique_ptr<FdEvent> timer_event_;
  std::unique_ptr<TimerQueue> timers_;
  std::unique_ptr<char[]> read_buffer_;
  std::vector<std::string> spare_buffers_;
  std::vector<FrameConnection*> first_dirty_;  ///< go before those of dirty_
  std::vector<FrameConnection*> dirty_;
  size_t flushed_ = 0;  ///< of dirty_
  std::vector<FrameConnection*> deferred_;
  std::vector<FrameConnection*> first_;  ///< are read even in a turn that leaves others unread
  std::vector<std::shared_ptr<void>> kept_;
  std::vector<std::shared_ptr<Hook::Entry>> turn_hooks_;
  std::vector<std::shared_ptr<Hook::Entry>> gap_hooks_;

  Instant now_;
  Instant polled_at_;     ///< before this turn's poll
  Instant poll_end_;      ///< when this turn's poll returned
  Instant last_pulse_;    ///< the latest moment at which this loop was surely turning
  Instant sleep_until_;   ///< planned end of the sleep in progress; Instant{} while awake
  Instant armed_for_;     ///< when timer_fd_ fires; Instant{} if not armed
  bool in_poll_ = false;  ///< polling, and no callback has run yet
  int ready_ = 0;         ///< descriptors that this look at the sockets found ready
  bool input_left_ = false;
  bool input_held_ = false;
  bool reading_ended_ = false;  ///< for this turn
  bool again_ = false;

  std::atomic<bool> stopping_{false};
};

}  // namespace holdfast::net
