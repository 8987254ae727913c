// Unix signals, delivered as ordinary events of a loop.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/net/loop.h"

namespace holdfast::net {

/// Calls back on the loop's thread for each of `signals`. One loop a process may watch signals.
class SignalWatcher {
 public:
  SignalWatcher(Loop& loop, const std::vector<int>& signals,
                std::function<void(int signal)> callback);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  struct Watched;
  std::function<void(int)> callback_;
  std::vector<std::unique_ptr<Watched>> watched_;
};

}  // namespace holdfast::net
