#include "base/net/input_mark.h"

namespace holdfast::net {

void InputMark::look(Instant now) {
  if (!open_ && asked_ > reached_ && now >= next_) {
    open_ = true;
    at_ = now;
    next_ = now + kEvery;
    for (InputSource* source : sources_) source->owe();
  }
  if (!open_ || owing_ > 0) return;
  open_ = false;
  reached_ = std::max(reached_, at_);
}

InputSource::InputSource(InputMark& mark) : mark_(mark), place_(mark.sources_.size()) {
  mark_.sources_.push_back(this);
}

InputSource::~InputSource() {
  input_ends();
  InputSource* const last = mark_.sources_.back();
  last->place_ = place_;
  mark_.sources_[place_] = last;
  mark_.sources_.pop_back();
}

void InputSource::owe() {
  if (!mark_.open_) return;
  input_ends();
  owed_ = input_waiting();
  if (owed_ > 0) ++mark_.owing_;
}

void InputSource::input_taken(uint64_t amount) {
  if (owed_ == 0) return;
  owed_ -= std::min(owed_, amount);
  if (owed_ == 0) --mark_.owing_;
}

}  // namespace holdfast::net
