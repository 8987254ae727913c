#include "base/net/fd_event.h"

#include <event2/event.h>

#include "base/check.h"
#include "base/net/loop.h"

namespace holdfast::net {

namespace {

short flags_of(FdEvent::Interest interest) {
  switch (interest) {
    case FdEvent::Interest::kRead:
      return EV_READ | EV_PERSIST;
    case FdEvent::Interest::kWrite:
      return EV_WRITE | EV_PERSIST;
    case FdEvent::Interest::kReadEdge:
      return EV_READ | EV_PERSIST | EV_ET;
    case FdEvent::Interest::kSignal:
      return EV_SIGNAL | EV_PERSIST;
  }
  return 0;
}

}  // namespace

FdEvent::~FdEvent() { disable(); }

void FdEvent::enable(int fd, Interest interest) {
  if (event_ != nullptr) return;
  const auto trampoline = [](evutil_socket_t, short, void* self) {
    static_cast<FdEvent*>(self)->fire();
  };
  event_ = event_new(loop_.base_, fd, flags_of(interest), trampoline, this);
  HF_CHECK(event_ != nullptr && event_add(event_, nullptr) == 0, "cannot watch a descriptor");
}

void FdEvent::disable() {
  if (event_ == nullptr) return;
  event_free(event_);  // also takes it out of the poll
  event_ = nullptr;
}

void FdEvent::fire() {
  loop_.enter_callback();
  callback_(self_);
}

}  // namespace holdfast::net
