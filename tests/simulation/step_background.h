// The simulator's way to work beside the loop: nothing is done before run_one().
#pragma once

#include <deque>
#include <functional>
#include <utility>

#include "coordinator/snapshot/background.h"

namespace holdfast::sim {

class StepBackground final : public snapshot::Background {
 public:
  void run(std::function<void()> work, std::function<void()> done) override {
    waiting_.push_back({std::move(work), std::move(done)});
  }
  void deliver() override {
    while (!ended_.empty()) {
      const std::function<void()> done = std::move(ended_.front());
      ended_.pop_front();
      done();
    }
  }
  bool owes() const { return !waiting_.empty(); }
  void run_one() {
    Piece piece = std::move(waiting_.front());
    waiting_.pop_front();
    piece.work();
    ended_.push_back(std::move(piece.done));
  }

 private:
  struct Piece {
    std::function<void()> work;
    std::function<void()> done;
  };
  std::deque<Piece> waiting_;
  std::deque<std::function<void()>> ended_;
};

}  // namespace holdfast::sim
