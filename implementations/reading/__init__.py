"""Files of people in nobody's dialect: loaded, read as a network with a gradient, and judged."""
