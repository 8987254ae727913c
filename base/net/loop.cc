#include "base/net/loop.h"

#include <event2/event.h>
#include <poll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>

#include "base/check.h"
#include "base/net/fd_event.h"
#include "base/net/frame_connection.h"
#include "base/net/mailbox.h"
#include "base/net/timer_queue.h"

namespace holdfast::net {

namespace {

constexpr Duration kLongestSleep = 60s;
/// libevent takes at least so many ready descriptors from epoll at once, and leaves the rest there.
constexpr int kReadyAtOnce = 32;
constexpr size_t kSpareBuffers = 32;
/// Connections that are sent to in one turn, besides those that go first: some hundred
/// microseconds, unless much is sent.
constexpr size_t kFlushesATurn = 64;
constexpr Duration kFlushTimeATurn = 10ms;
constexpr size_t kSpareBufferBytes = 256 << 10;

event_base* new_base() {
  event_config* const config = event_config_new();
  HF_CHECK(config != nullptr, "out of memory for an event loop");
  // One thread owns the base; posting goes through our own queue.
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_base* const base = event_base_new_with_config(config);
  event_config_free(config);
  HF_CHECK(base != nullptr, "the system gives no epoll descriptor");
  return base;
}

template <class Pointer>
void forget(std::vector<Pointer>& list, Pointer gone) {
  std::replace(list.begin(), list.end(), gone, Pointer{nullptr});
}

}  // namespace

struct Loop::Hook::Entry {
  int order;
  bool dropped = false;
  std::function<void()> on_turn_end;
  std::function<void(Duration)> on_gap;
};

Loop::Hook& Loop::Hook::operator=(Hook&& other) noexcept {
  if (entry_ != nullptr) entry_->dropped = true;
  entry_ = std::move(other.entry_);
  return *this;
}

Loop::Hook::~Hook() {
  if (entry_ != nullptr) entry_->dropped = true;
}

Loop::Loop(Clock& clock, LoopOptions options)
    : clock_(clock),
      options_(options),
      base_(new_base()),
      mailbox_(std::make_shared<Mailbox>()),
      timer_fd_(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC)),
      timers_(std::make_unique<TimerQueue>()),
      read_buffer_(new char[options.read_buffer_bytes]),
      now_(clock.now()) {
  HF_CHECK(timer_fd_ >= 0, "the system gives no descriptor for timers");
  const auto ignore = [](void*) {};
  wake_event_ = std::make_unique<FdEvent>(*this, ignore, nullptr);
  timer_event_ = std::make_unique<FdEvent>(*this, ignore, nullptr);
  // Edge-triggered: each signal wakes once and nothing need be read back.
  wake_event_->enable(mailbox_->wake_fd(), FdEvent::Interest::kReadEdge);
  timer_event_->enable(timer_fd_, FdEvent::Interest::kReadEdge);
}

Loop::~Loop() {
  mailbox_->close();
  wake_event_.reset();
  timer_event_.reset();
  event_base_free(base_);
  ::close(timer_fd_);
}

void Loop::run() {
  while (!stopping_.load(std::memory_order_acquire)) turn(kLongestSleep);
  stopping_.store(false, std::memory_order_release);
}

void Loop::stop() {
  stopping_.store(true, std::memory_order_release);
  post([] {});
}

void Loop::post(std::function<void()> work) { mailbox_->post(std::move(work)); }

Loop::Hook Loop::on_turn_end(int order, std::function<void()> hook) {
  auto entry = std::make_shared<Hook::Entry>(Hook::Entry{order, false, std::move(hook), {}});
  const auto after = std::find_if(turn_hooks_.begin(), turn_hooks_.end(),
                                  [&](const auto& other) { return other->order > order; });
  turn_hooks_.insert(after, entry);
  return Hook(std::move(entry));
}

Loop::Hook Loop::on_gap(std::function<void(Duration)> hook) {
  auto entry = std::make_shared<Hook::Entry>(Hook::Entry{0, false, {}, std::move(hook)});
  gap_hooks_.push_back(entry);
  return Hook(std::move(entry));
}

void Loop::turn(Duration max_wait) {
  pulse();
  ++stats_.turns;
  poll(now_ + std::min(max_wait, kLongestSleep));
  if (input_left_ && !input_held_) read_first();
  if (input_left_) mark_.look(now_);
  if (!input_held_) run_deferred();
  timers_->run_due(now_);
  run_posted();
  pulse();
  run_hooks();
  pulse();
  flush_dirty();
  if (!input_left_) mark_.pass(polled_at_);
  stats_.turn_durations.add(last_pulse_ - poll_end_);
}

bool Loop::must_not_sleep() {
  return std::exchange(again_, false) || (input_left_ && !input_held_) || !first_dirty_.empty() ||
         !dirty_.empty() || (!deferred_.empty() && !input_held_) || mailbox_->has_work();
}

void Loop::poll(Instant wake_at) {
  if (!timers_->empty()) wake_at = std::min(wake_at, timers_->next_deadline());
  polled_at_ = now_;
  if (input_held_) mailbox_->clear_signal();
  mailbox_->begin_sleep();
  const bool sleep = !must_not_sleep() && wake_at > now_;
  if (sleep) {
    sleep_until_ = wake_at;
    arm_timer_fd(wake_at);
  } else {
    mailbox_->end_sleep();
  }
  in_poll_ = true;
  reading_ended_ = false;
  input_left_ = input_held_;
  if (!input_held_) {
    look_at_sockets(sleep);
  } else if (sleep) {
    sleep_held();
  }
  enter_callback();  // when nothing was ready
}

// Looks until everything that is ready has been seen: a full look may have left some behind, and
// without another one nobody would know.
void Loop::look_at_sockets(bool sleep) {
  ready_ = 0;
  event_base_loop(base_, sleep ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
  while (ready_ >= kReadyAtOnce && !reading_ended_) {
    ready_ = 0;
    event_base_loop(base_, EVLOOP_NONBLOCK);
  }
}

// Only a posted function or the timer's descriptor ends this sleep: sockets stay unwatched.
void Loop::sleep_held() {
  pollfd watched[] = {{mailbox_->wake_fd(), POLLIN, 0}, {timer_fd_, POLLIN, 0}};
  ::poll(watched, 2, static_cast<int>(to_ms(kLongestSleep)));
}

void Loop::arm_timer_fd(Instant wake_at) {
  // Armed already for an earlier moment that has not come: that wakes us, and we arm again then.
  if (armed_for_ > now_ && armed_for_ <= wake_at) return;
  armed_for_ = wake_at;
  const Duration wait = wake_at - now_;
  itimerspec spec{};
  spec.it_value.tv_sec = wait / 1s;
  spec.it_value.tv_nsec = std::max<int64_t>(1, (wait % 1s).count());
  timerfd_settime(timer_fd_, 0, &spec, nullptr);
}

void Loop::enter_callback() {
  // Asked in the first callback of a look: those after it are still active then.
  if (ready_ == 0) ready_ = 1 + event_base_get_num_events(base_, EVENT_BASE_COUNT_ACTIVE);
  if (!in_poll_) return;
  in_poll_ = false;
  if (sleep_until_ != Instant{} && !mailbox_->end_sleep()) ++stats_.wakeups;
  pulse();
  sleep_until_ = Instant{};
  poll_end_ = now_;
}

void Loop::pulse() {
  now_ = clock_.now();
  // Time slept until the earliest timer was due is time well spent; anything more is a gap.
  const Instant expected = std::max(last_pulse_, std::min(sleep_until_, now_));
  const Duration gap = last_pulse_ == Instant{} ? Duration{0} : now_ - expected;
  last_pulse_ = now_;
  if (gap <= options_.gap_threshold) return;
  ++stats_.gaps;
  stats_.gap_total += gap;
  for (size_t i = 0; i < gap_hooks_.size(); ++i) {
    const auto hook = gap_hooks_[i];
    if (!hook->dropped) hook->on_gap(gap);
  }
  std::erase_if(gap_hooks_, [](const auto& hook) { return hook->dropped; });
}

bool Loop::budget_spent() {
  if (!reading_ended_ && clock_.now() - poll_end_ < options_.read_budget) return false;
  end_reading();
  return true;
}

void Loop::end_reading() {
  input_left_ = reading_ended_ = true;
  event_base_loopbreak(base_);  // what is ready and not handled stays active for the next turn
}

void Loop::run_posted() {
  if (!mailbox_->has_work()) return;
  const std::vector<std::function<void()>> work = mailbox_->take();
  stats_.posts += work.size();
  for (const auto& each : work) each();
}

void Loop::run_hooks() {
  bool dropped = false;
  for (size_t i = 0; i < turn_hooks_.size(); ++i) {
    const auto hook = turn_hooks_[i];
    if (!hook->dropped) hook->on_turn_end();
    dropped |= hook->dropped;
  }
  if (dropped) std::erase_if(turn_hooks_, [](const auto& hook) { return hook->dropped; });
}

// By index: a handler may destroy any of them.
void Loop::read_first() {
  for (size_t i = 0, end = first_.size(); i < end; ++i) {
    if (first_[i] != nullptr) first_[i]->on_readable();
  }
  std::erase(first_, nullptr);
}

// One at least, and the others as long as there is time. By index: a handler may destroy any of
// them, or pause and resume again for the next turn.
void Loop::run_deferred() {
  bool time = true;
  for (size_t i = 0, end = deferred_.size(); i < end && time; ++i) {
    if (FrameConnection* const connection = std::exchange(deferred_[i], nullptr)) {
      connection->run_deferred();
      time = !budget_spent();
    }
  }
  std::erase(deferred_, nullptr);
}

// News for very many connections leaves over several turns, and input is read between them.
void Loop::flush_dirty() {
  for (size_t i = 0; i < first_dirty_.size(); ++i) flush(first_dirty_[i]);
  first_dirty_.clear();
  const Instant until = clock_.now() + kFlushTimeATurn;
  for (size_t left = kFlushesATurn; left > 0 && flushed_ < dirty_.size(); --left) {
    flush(dirty_[flushed_++]);
    if (clock_.now() >= until) break;
  }
  if (2 * flushed_ < dirty_.size()) return;
  dirty_.erase(dirty_.begin(), dirty_.begin() + static_cast<ptrdiff_t>(flushed_));
  flushed_ = 0;
}

// Out of the list first: a failed send calls its handler, which may send elsewhere or destroy
// connections.
void Loop::flush(FrameConnection*& place) {
  if (FrameConnection* const connection = std::exchange(place, nullptr)) connection->flush();
}

void Loop::mark_dirty(FrameConnection* connection, bool goes_first) {
  (goes_first ? first_dirty_ : dirty_).push_back(connection);
}

void Loop::forget_dirty(FrameConnection* connection) {
  forget(first_dirty_, connection);
  forget(dirty_, connection);
}
void Loop::defer(FrameConnection* connection) { deferred_.push_back(connection); }
void Loop::forget_deferred(FrameConnection* connection) { forget(deferred_, connection); }
void Loop::forget_first(FrameConnection* connection) { forget(first_, connection); }

std::string Loop::take_buffer() {
  if (spare_buffers_.empty()) return {};
  std::string buffer = std::move(spare_buffers_.back());
  spare_buffers_.pop_back();
  return buffer;
}

void Loop::give_buffer(std::string&& buffer) {
  if (spare_buffers_.size() >= kSpareBuffers || buffer.capacity() > kSpareBufferBytes) return;
  buffer.clear();
  spare_buffers_.push_back(std::move(buffer));
}

}  // namespace holdfast::net
