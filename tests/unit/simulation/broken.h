// Which rule a piece of a history breaks.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "tests/simulation/invariants.h"

namespace holdfast::sim {

/// The name of the rule that `act` breaks; empty if none.
template <class Act>
std::string broken_by(Act&& act) {
  try {
    act();
  } catch (const Broken& broken) {
    EXPECT_EQ(std::string(broken.what()).rfind(text_of(broken.rule).name, 0), 0u);
    return std::string(text_of(broken.rule).name);
  }
  return "";
}

}  // namespace holdfast::sim
