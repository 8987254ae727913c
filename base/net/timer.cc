#include "base/net/timer.h"

#include "base/net/timer_queue.h"

namespace holdfast::net {

Timer::Timer(Loop& loop, std::function<void()> callback)
    : loop_(loop), callback_(std::move(callback)) {}

Timer::~Timer() { cancel(); }

void Timer::arm(Instant deadline) {
  cancel();
  deadline_ = deadline;
  loop_.timers_->insert(this);
}

void Timer::arm_after(Duration delay) { arm(loop_.clock().now() + delay); }

void Timer::arm_every(Duration period) {
  arm_after(period);
  period_ = period;
}

void Timer::cancel() {
  period_ = Duration{0};
  if (armed()) loop_.timers_->remove(this);
}

void TimerQueue::place(size_t at, Timer* timer) {
  heap_[at] = timer;
  timer->position_ = at;
}

void TimerQueue::insert(Timer* timer) {
  heap_.push_back(timer);
  place(heap_.size() - 1, timer);
  sift_up(heap_.size() - 1);
}

void TimerQueue::remove(Timer* timer) {
  const size_t at = timer->position_;
  timer->position_ = Timer::kNotArmed;
  Timer* last = heap_.back();
  heap_.pop_back();
  if (last == timer) return;
  place(at, last);
  sift_up(at);
  sift_down(last->position_);
}

void TimerQueue::sift_up(size_t at) {
  while (at > 0) {
    const size_t parent = (at - 1) / 2;
    if (heap_[parent]->deadline_ <= heap_[at]->deadline_) return;
    Timer* const timer = heap_[at];
    place(at, heap_[parent]);
    place(parent, timer);
    at = parent;
  }
}

void TimerQueue::sift_down(size_t at) {
  for (;;) {
    size_t least = at;
    for (const size_t child : {2 * at + 1, 2 * at + 2}) {
      if (child < heap_.size() && heap_[child]->deadline_ < heap_[least]->deadline_) least = child;
    }
    if (least == at) return;
    Timer* const timer = heap_[at];
    place(at, heap_[least]);
    place(least, timer);
    at = least;
  }
}

Timer* TimerQueue::pop_due(Instant now) {
  if (empty() || next_deadline() > now) return nullptr;
  Timer* const timer = heap_.front();
  remove(timer);
  if (timer->period_ > Duration{0}) {
    // Periods missed during a pause are skipped: the next one lies in the future.
    const auto missed = (now - timer->deadline_) / timer->period_;
    timer->deadline_ += timer->period_ * (missed + 1);
    insert(timer);
  }
  return timer;
}

void TimerQueue::run_due(Instant now) {
  // A callback that arms a timer for the past must not keep the turn from ending.
  size_t most = heap_.size();
  while (most-- > 0) {
    Timer* const timer = pop_due(now);
    if (timer == nullptr) return;
    // A copy: the callback may destroy its timer.
    const auto callback = timer->callback_;
    callback();
  }
}

}  // namespace holdfast::net
