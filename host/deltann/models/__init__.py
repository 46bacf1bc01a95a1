"""Models, their preprocessing recipes and label spaces, data sets, and the inputs prepared from them."""
