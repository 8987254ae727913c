// Of a loop that somebody floods no turn leaves nothing unread. Whether what had arrived at some
// moment is handled can be known all the same: at a mark each source of input says how much waits
// there, and it is reached when so much of each was taken. One thread.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace holdfast::net {

class InputSource;

class InputMark {
 public:
  /// Between two marks: one asks every source.
  static constexpr Duration kEvery = 50ms;

  /// reached() is to come to that moment.
  void ask(Instant moment) { asked_ = std::max(asked_, moment); }
  /// A turn has left nothing unread of what had arrived by then: no mark is needed.
  void pass(Instant moment) { reached_ = moment; }
  /// A turn has left something; `now` was read before.
  void look(Instant now);
  /// What had arrived by then is handled.
  Instant reached() const { return reached_; }

 private:
  friend class InputSource;
  std::vector<InputSource*> sources_;
  size_t owing_ = 0;  ///< sources of which not all has been taken
  bool open_ = false;
  Instant at_;
  Instant reached_;
  Instant asked_;
  Instant next_;
};

/// A socket that is read: its input counts in bytes, a listener's in connections. The mark must
/// outlive it.
class InputSource {
 public:
  InputSource(const InputSource&) = delete;
  InputSource& operator=(const InputSource&) = delete;
  /// A mark was set: what waits now is to be taken.
  void owe();

 protected:
  explicit InputSource(InputMark& mark);
  ~InputSource();
  /// It is read from now on.
  void input_begins() { owe(); }
  void input_taken(uint64_t amount);
  /// Nothing waits, or it is read no more.
  void input_ends() { input_taken(owed_); }

 private:
  /// What is there to be read, at least all that had come before the call; zero if it is not read.
  virtual uint64_t input_waiting() const = 0;

  InputMark& mark_;
  size_t place_;  ///< in sources_
  uint64_t owed_ = 0;
};

}  // namespace holdfast::net
