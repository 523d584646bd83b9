// Translates a shader, and says why it cannot.
#include <cstdio>

#include "spirv_glsl.hpp"

int main(int count, char **words) {
  try {
    std::vector<uint32_t> shader(words[0][0], count);
    spirv_cross::CompilerGLSL compiler(std::move(shader));
    std::puts(compiler.compile().c_str());
    compiler.build_combined_image_samplers();
  } catch (const spirv_cross::CompilerError &error) {
    std::puts(error.what());
    return 1;
  }
  return 0;
}
