#include "base/net/signal_watcher.h"

#include <event2/event.h>

#include "base/check.h"
#include "base/net/fd_event.h"

namespace holdfast::net {

struct SignalWatcher::Watched {
  Watched(SignalWatcher& o, Loop& l, int s)
      : owner(o),
        signal(s),
        event(
            l, [](void* self) { static_cast<Watched*>(self)->deliver(); }, this) {
    event.enable(signal, FdEvent::Interest::kSignal);
  }
  void deliver() { owner.callback_(signal); }

  SignalWatcher& owner;
  int signal;
  FdEvent event;
};

SignalWatcher::SignalWatcher(Loop& loop, const std::vector<int>& signals,
                             std::function<void(int signal)> callback)
    : callback_(std::move(callback)) {
  for (const int signal : signals) {
    watched_.push_back(std::make_unique<Watched>(*this, loop, signal));
  }
}

SignalWatcher::~SignalWatcher() = default;

}  // namespace holdfast::net
