// What somebody may have meant who mistyped a word.
#pragma once

#include <string>
#include <vector>

namespace holdfast::cli {

/// How many letters must be added, left out, replaced or exchanged with their neighbour to make one
/// word of the other (the "optimal string alignment" distance).
size_t typing_distance(const std::string& a, const std::string& b);

/// The first of the words that are nearest to what was typed; empty if none is near: a third of its
/// letters may be wrong, and one in any case.
std::string nearest(const std::string& typed, const std::vector<std::string>& words);

}  // namespace holdfast::cli
