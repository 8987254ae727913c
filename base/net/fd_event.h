// Interest in one descriptor becoming readable or writable. Used inside this folder, and by
// the bench for HTTP/2.
#pragma once

struct event;

namespace holdfast::net {

class Loop;

/// Level-triggered and persistent unless said otherwise. Costs nothing in the kernel while
/// disabled.
class FdEvent {
 public:
  enum class Interest { kRead, kWrite, kReadEdge, kSignal };
  using Callback = void (*)(void* self);

  FdEvent(Loop& loop, Callback callback, void* self)
      : loop_(loop), callback_(callback), self_(self) {}
  ~FdEvent();
  FdEvent(const FdEvent&) = delete;
  FdEvent& operator=(const FdEvent&) = delete;

  void enable(int fd, Interest interest);
  /// Must come before the descriptor is closed.
  void disable();
  bool enabled() const { return event_ != nullptr; }
  void fire();

 private:
  Loop& loop_;
  Callback callback_;
  void* self_;
  event* event_ = nullptr;
};

}  // namespace holdfast::net
