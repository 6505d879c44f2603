"""A small software renderer for pedestrians: appearance, body, light, camera. numpy and Pillow only."""
